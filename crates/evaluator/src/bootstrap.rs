//! Intervals by resampling products, with the same resamples for all cells and models, so that
//! differences are paired.
//!
//! Source: Efron & Tibshirani (1993), percentile intervals; clusters are products, since the rows
//! of one product are not independent.

use lifecycle::{Progress, Unwatched};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::Error;

/// How often each product is in each resample.
pub(crate) struct Resamples<'a> {
    n_products: usize,
    /// Row-major `[n_resamples, n_products]`; a count above 255 is cut, which 1 product alone can
    /// reach and then means nothing.
    counts: Vec<u8>,
    /// Asked before each resample whether to stop.
    progress: &'a dyn Progress,
}

impl<'a> Resamples<'a> {
    /// Draws `n_resamples` times as many products as there are, with replacement.
    pub(crate) fn new(
        n_products: usize,
        n_resamples: usize,
        seed: u64,
        progress: &'a dyn Progress,
    ) -> Result<Self, Error> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut counts = vec![0_u8; n_products * n_resamples];
        for counts in counts.chunks_mut(n_products.max(1)) {
            go_on(progress)?;
            for _ in 0..n_products {
                // 32 bits times n / 2^32: a bias below 1e-4 even for 400,000 products.
                let drawn = (u64::from(rng.next_u32()) * n_products as u64) >> 32;
                let count = &mut counts[drawn as usize];
                *count = count.saturating_add(1);
            }
        }
        Ok(Self { n_products, counts, progress })
    }

    /// The scores of several forecasters in each of the first `n_resamples` resamples, NaN where
    /// not defined: row-major `[n_resamples, n_models]`. `sums`: row-major
    /// `[products.len(), n_models, n_sums]`, of the products with these numbers.
    pub(crate) fn scores(
        &self,
        n_resamples: usize,
        (products, n_models): (&[u32], usize),
        sums: &[f64],
        value: impl Fn(&[f64]) -> Option<f64>,
    ) -> Result<Vec<f64>, Error> {
        let width = sums.len() / products.len().max(1);
        let mut total = vec![0.0; width];
        let mut scores = Vec::with_capacity(n_resamples * n_models);
        for counts in self.counts.chunks(self.n_products.max(1)).take(n_resamples) {
            go_on(self.progress)?;
            total.fill(0.0);
            for (product, sums) in products.iter().zip(sums.chunks_exact(width.max(1))) {
                let count = counts[*product as usize];
                if count > 0 {
                    let count = f64::from(count);
                    for (total, sum) in total.iter_mut().zip(sums) {
                        *total += count * sum;
                    }
                }
            }
            let of_model = total.chunks(width / n_models.max(1));
            scores.extend(of_model.map(|sums| value(sums).unwrap_or(f64::NAN)));
        }
        Ok(scores)
    }
}

/// The share of what was counted, by product `[hits, all]`, with the ends of its 95 % interval by
/// bootstrap over products; `None` where nothing was.
pub fn share_interval(products: &[[f64; 2]], n_resamples: usize, seed: u64) -> Option<[f64; 3]> {
    let share = |sums: &[f64]| (sums[1] > 0.0).then(|| sums[0] / sums[1]);
    let sums = products.as_flattened();
    let total = |at: usize| sums.iter().skip(at).step_by(2).sum::<f64>();
    let value = share(&[total(0), total(1)])?;
    let resamples = Resamples::new(products.len(), n_resamples, seed, &Unwatched).ok()?;
    let all: Vec<u32> = (0..products.len() as u32).collect();
    let resampled = resamples.scores(n_resamples, (&all, 1), sums, share).ok()?;
    let (low, high) = interval(value, resampled.into_iter());
    Some([value, low, high])
}

/// An error once whoever watches asks to stop.
pub(crate) fn go_on(progress: &dyn Progress) -> Result<(), Error> {
    if progress.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
}

/// The 2.5 % and 97.5 % quantiles of what resamples say, widened to hold `value`; `value` alone
/// where none says anything.
pub(crate) fn interval(value: f64, scores: impl Iterator<Item = f64>) -> (f64, f64) {
    let mut sorted: Vec<f64> = scores.filter(|score| score.is_finite()).collect();
    if sorted.is_empty() {
        return (value, value);
    }
    sorted.sort_by(f64::total_cmp);
    let last = (sorted.len() - 1) as f64;
    let at = |level: f64| sorted[(level * last).round() as usize];
    (at(0.025).min(value), at(0.975).max(value))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn drawn(n_products: usize, n_resamples: usize, seed: u64) -> Resamples<'static> {
        Resamples::new(n_products, n_resamples, seed, &Unwatched).expect("nobody stops it")
    }

    /// Scores of one forecaster by [`mean`].
    fn means(resamples: &Resamples<'_>, n: usize, products: &[u32], sums: &[f64]) -> Vec<f64> {
        resamples.scores(n, (products, 1), sums, mean).expect("nobody stops it")
    }

    fn mean(sums: &[f64]) -> Option<f64> {
        (sums[1] > 0.0).then(|| sums[0] / sums[1])
    }

    /// Independent values between 0 and 1 with their count, one a product.
    fn sample(n: usize, seed: u64) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..n).flat_map(|_| [f64::from(rng.next_u32()) / 4_294_967_296.0, 1.0]).collect()
    }

    #[test]
    fn each_resample_draws_as_many_products_as_there_are() {
        let resamples = drawn(50, 20, 1);
        for counts in resamples.counts.chunks(50) {
            assert_eq!(counts.iter().map(|count| usize::from(*count)).sum::<usize>(), 50);
        }
        assert_eq!(resamples.counts, drawn(50, 20, 1).counts);
        assert_ne!(resamples.counts, drawn(50, 20, 2).counts);
    }

    #[test]
    fn the_interval_covers_the_mean_as_often_as_it_says() {
        let n = 60;
        let resamples = drawn(n, 400, 3);
        let products: Vec<u32> = (0..n as u32).collect();
        let covers = |seed: &u64| {
            let sums = sample(n, *seed);
            let scores = means(&resamples, 400, &products, &sums);
            let total: f64 = sums.chunks(2).map(|sums| sums[0]).sum();
            let (low, high) = interval(total / n as f64, scores.into_iter());
            (low..high).contains(&0.5)
        };
        let n_covered = (0..300).filter(covers).count();
        assert!((270..=297).contains(&n_covered), "{n_covered} of 300");
    }

    #[test]
    fn the_same_difference_everywhere_is_certain() {
        let n = 40;
        let resamples = drawn(n, 200, 3);
        let products: Vec<u32> = (0..n as u32).collect();
        let ours = sample(n, 9);
        let peer: Vec<f64> = ours.chunks(2).flat_map(|sums| [sums[0] + 0.125, sums[1]]).collect();
        let scores = |sums: &[f64]| means(&resamples, 200, &products, sums);
        let differences: Vec<f64> =
            scores(&ours).iter().zip(scores(&peer)).map(|(ours, peer)| ours - peer).collect();
        let (low, high) = interval(-0.125, differences.into_iter());
        assert!((low + 0.125).abs() < 1e-9 && (high + 0.125).abs() < 1e-9);
    }

    #[test]
    fn a_subset_uses_the_counts_of_its_own_products() {
        let resamples = drawn(3, 50, 3);
        let scores = means(&resamples, 50, &[2], &[0.5, 1.0]);
        assert!(scores.iter().all(|score| score.is_nan() || *score == 0.5));
        assert!(scores.iter().any(|score| score.is_nan()));
        assert_eq!(interval(0.5, [f64::NAN].into_iter()), (0.5, 0.5));
    }

    #[test]
    fn a_share_of_products_that_agree_is_certain_and_of_two_kinds_is_not() {
        let [value, low, high] = share_interval(&[[1.0, 4.0]; 30], 100, 1).expect("counted");
        assert_eq!([value, low, high], [0.25; 3]);
        let mixed: Vec<[f64; 2]> = (0..40).map(|at| [f64::from(at % 2), 1.0]).collect();
        let [value, low, high] = share_interval(&mixed, 400, 1).expect("counted");
        assert!(value == 0.5 && (0.3..0.45).contains(&low) && (0.55..0.7).contains(&high));
        assert_eq!(share_interval(&[[0.0; 2]], 100, 1), None);
    }

    /// Asks to stop after so many questions whether to.
    struct StopAfter(AtomicUsize);

    impl Progress for StopAfter {
        fn report(&self, _part: &str, _done: u64, _total: u64) {}

        fn is_cancelled(&self) -> bool {
            let left = |left: usize| left.checked_sub(1);
            self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).is_err()
        }
    }

    #[test]
    fn resampling_stops_where_it_is_asked_to() {
        let sums = sample(5, 1);
        let scores = |n_asked: usize| {
            let progress = StopAfter(AtomicUsize::new(n_asked));
            let resamples = Resamples::new(5, 20, 1, &progress)?;
            resamples.scores(20, (&[0, 1, 2, 3, 4], 1), &sums, mean)
        };
        // Twenty to draw, twenty to score.
        for n_asked in [0, 19, 20, 39] {
            assert!(matches!(scores(n_asked), Err(Error::Cancelled)), "{n_asked}");
        }
        assert_eq!(scores(40).expect("in time").len(), 20);
    }
}
