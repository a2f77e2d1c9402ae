//! The few things that live calls need in memory: loaded once each, the least recently used dropped.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

/// Loaded values by key. Many who ask for one that is not there wait for a single load.
pub struct Cache<K, V> {
    /// The most recently used last.
    slots: Mutex<Vec<(K, Arc<OnceCell<V>>)>>,
    n_kept_max: usize,
}

impl<K: PartialEq + Clone, V: Clone> Cache<K, V> {
    /// Keeps at most so many values.
    pub fn new(n_kept_max: usize) -> Self {
        Self { slots: Mutex::default(), n_kept_max: n_kept_max.max(1) }
    }

    /// The value of a key, loaded if it is not there. A failed load is not remembered.
    pub async fn get<E>(&self, key: &K, load: impl Future<Output = Result<V, E>>) -> Result<V, E> {
        let slot = self.slot(key);
        let value = slot.get_or_try_init(|| load).await.cloned();
        drop(slot);
        self.tidy();
        value
    }

    /// The same for who cannot wait for another's load: where there is one, its own comes beside it.
    pub async fn get_now<E>(
        &self,
        key: &K,
        load: impl Future<Output = Result<V, E>>,
    ) -> Result<V, E> {
        let slot = self.slot(key);
        // Beside this one and the cache's own there is who loads.
        let is_loading = !slot.initialized() && Arc::strong_count(&slot) > 2;
        if !is_loading {
            drop(slot);
            return self.get(key, load).await;
        }
        let value = load.await?;
        // Whoever is loading fills it else.
        let _ = slot.set(value.clone());
        drop(slot);
        self.tidy();
        Ok(value)
    }

    /// Drops what failed to load, and the least recently used of what is too many. What is being
    /// loaded stays, for its callers hold it.
    fn tidy(&self) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|(_, slot)| slot.initialized() || Arc::strong_count(slot) > 1);
        let mut n_over = slots.iter().filter(|(_, slot)| slot.initialized()).count();
        n_over = n_over.saturating_sub(self.n_kept_max);
        slots.retain(|(_, slot)| {
            let is_over = n_over > 0 && slot.initialized();
            n_over -= usize::from(is_over);
            !is_over
        });
    }

    fn slot(&self, key: &K) -> Arc<OnceCell<V>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = match slots.iter().position(|(kept, _)| kept == key) {
            Some(place) => slots.remove(place).1,
            None => Arc::default(),
        };
        slots.push((key.clone(), Arc::clone(&slot)));
        slot
    }
}

impl<K, V> fmt::Debug for Cache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("n_kept_max", &self.n_kept_max).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_value_is_loaded_once_and_the_least_recently_used_goes() {
        let cache = Cache::new(2);
        let n_loads = AtomicUsize::new(0);
        let get = async |key: u32| {
            let load = async {
                n_loads.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                Ok::<_, ()>(10 * key)
            };
            cache.get(&key, load).await
        };
        assert_eq!(tokio::join!(get(1), get(1)), (Ok(10), Ok(10)));
        assert_eq!(n_loads.load(Ordering::Relaxed), 1);
        for key in [2, 1, 3, 1] {
            assert_eq!(get(key).await, Ok(10 * key));
        }
        assert_eq!(n_loads.load(Ordering::Relaxed), 3);
        assert_eq!(get(2).await, Ok(20), "2 was dropped for 3");
        assert_eq!(n_loads.load(Ordering::Relaxed), 4);
    }

    #[tokio::test]
    async fn who_cannot_wait_loads_beside_another() {
        let cache = Cache::new(2);
        let (done, wait) = tokio::sync::oneshot::channel::<()>();
        let slow = cache.get(&1, async {
            let _ = wait.await;
            Ok::<_, &str>(10)
        });
        let hurried = async {
            assert_eq!(cache.get_now(&1, async { Err("no time") }).await, Err("no time"));
            let _ = done.send(());
        };
        assert_eq!(tokio::join!(slow, hurried).0, Ok(10), "the other one goes on");
        let kept = cache.get_now(&1, async { Err("it is there") }).await;
        assert_eq!(kept, Ok(10));
        assert_eq!(cache.get_now(&2, async { Ok::<_, &str>(20) }).await, Ok(20));
        assert_eq!(cache.get(&2, async { Err("it is there") }).await, Ok(20));
    }

    #[tokio::test]
    async fn a_failed_load_is_tried_again() {
        let cache = Cache::new(1);
        assert_eq!(cache.get(&2, async { Ok::<_, &str>(5) }).await, Ok(5));
        assert_eq!(cache.get(&1, async { Err::<u32, _>("no") }).await, Err("no"));
        let kept = cache.get(&2, async { Err("2 was dropped for what failed") }).await;
        assert_eq!(kept, Ok(5));
        assert_eq!(cache.get(&1, async { Ok::<_, &str>(7) }).await, Ok(7));
    }
}
