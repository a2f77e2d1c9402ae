//! An object store whose requests fail, before or after they were carried out.

use std::fmt;
use std::ops::Range;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::stream::BoxStream;
use lifecycle::ErrorKind;
use object_store::memory::InMemory;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, ObjectMeta, PutMultipartOptions, PutOptions,
    PutPayload, PutResult, Result,
};

use super::*;
use crate::backend::BLOBS;

/// What becomes of the first requests; later ones succeed.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// Not carried out.
    Refused,
    /// Carried out, but the answer is lost.
    AnswerLost,
    /// Not carried out, and no use in trying again.
    Forbidden,
}

/// A store in memory whose first `n_faults` puts and gets fail.
#[derive(Debug)]
struct Faulty {
    memory: InMemory,
    fault: Fault,
    n_faults: usize,
    n_requests: AtomicUsize,
}

impl Faulty {
    fn bucket(fault: Fault, n_faults: usize) -> (Arc<Self>, Bucket) {
        let memory = InMemory::new();
        let faulty = Arc::new(Self { memory, fault, n_faults, n_requests: AtomicUsize::new(0) });
        let objects: Arc<dyn ObjectStore> = Arc::<Self>::clone(&faulty);
        (faulty, Bucket::new(objects, "prefix"))
    }

    fn n_requests(&self) -> usize {
        self.n_requests.load(Ordering::SeqCst)
    }

    async fn with_faults<T>(&self, request: impl Future<Output = Result<T>>) -> Result<T> {
        if self.n_requests.fetch_add(1, Ordering::SeqCst) >= self.n_faults {
            return request.await;
        }
        let source = "scripted".into();
        match self.fault {
            Fault::Forbidden => {
                return Err(object_store::Error::PermissionDenied { path: String::new(), source });
            }
            Fault::AnswerLost => drop(request.await),
            Fault::Refused => {}
        }
        Err(object_store::Error::Generic { store: "faulty", source })
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("faulty")
    }
}

/// What `async fn` in `object_store`'s trait stands for.
type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

impl ObjectStore for Faulty {
    fn put_opts<'life0, 'life1, 'async_trait>(
        &'life0 self,
        location: &'life1 ObjectPath,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Answer<'async_trait, PutResult>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(self.with_faults(self.memory.put_opts(location, payload, opts)))
    }

    fn put_multipart_opts<'life0, 'life1, 'async_trait>(
        &'life0 self,
        location: &'life1 ObjectPath,
        opts: PutMultipartOptions,
    ) -> Answer<'async_trait, Box<dyn MultipartUpload>>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        Self: 'async_trait,
    {
        self.memory.put_multipart_opts(location, opts)
    }

    fn get_opts<'life0, 'life1, 'async_trait>(
        &'life0 self,
        location: &'life1 ObjectPath,
        options: GetOptions,
    ) -> Answer<'async_trait, GetResult>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        Self: 'async_trait,
    {
        // A look for what a lost put left behind is no request of the script.
        if options.head {
            return self.memory.get_opts(location, options);
        }
        Box::pin(self.with_faults(self.memory.get_opts(location, options)))
    }

    fn get_ranges<'life0, 'life1, 'life2, 'async_trait>(
        &'life0 self,
        location: &'life1 ObjectPath,
        ranges: &'life2 [Range<u64>],
    ) -> Answer<'async_trait, Vec<Bytes>>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        'life2: 'async_trait,
        Self: 'async_trait,
    {
        self.memory.get_ranges(location, ranges)
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<ObjectPath>>,
    ) -> BoxStream<'static, Result<ObjectPath>> {
        self.memory.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&ObjectPath>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.memory.list(prefix)
    }

    fn list_with_delimiter<'life0, 'life1, 'async_trait>(
        &'life0 self,
        prefix: Option<&'life1 ObjectPath>,
    ) -> Answer<'async_trait, ListResult>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        Self: 'async_trait,
    {
        self.memory.list_with_delimiter(prefix)
    }

    fn copy_opts<'life0, 'life1, 'life2, 'async_trait>(
        &'life0 self,
        from: &'life1 ObjectPath,
        to: &'life2 ObjectPath,
        options: CopyOptions,
    ) -> Answer<'async_trait, ()>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        'life2: 'async_trait,
        Self: 'async_trait,
    {
        self.memory.copy_opts(from, to, options)
    }
}

#[tokio::test]
async fn errors_that_pass_are_tried_again() {
    let (store, bucket) = Faulty::bucket(Fault::Refused, 2);
    bucket.write("keys/a", b"one".to_vec()).await.unwrap();
    assert_eq!(store.n_requests(), 3);

    let (store, bucket) = Faulty::bucket(Fault::Refused, 2);
    assert!(bucket.create("keys/a", b"one".to_vec()).await.unwrap());
    assert_eq!(store.n_requests(), 3);
    assert_eq!(bucket.read("keys/a").await.unwrap(), Some(b"one".to_vec()));
}

#[tokio::test]
async fn a_create_whose_answer_is_lost_may_exist_and_is_not_repeated() {
    let (store, bucket) = Faulty::bucket(Fault::AnswerLost, 1);
    assert!(!bucket.create("keys/a", b"one".to_vec()).await.unwrap());
    assert_eq!(store.n_requests(), 1);
    assert_eq!(bucket.read("keys/a").await.unwrap(), Some(b"one".to_vec()));
}

#[tokio::test]
async fn a_store_that_does_not_come_back_is_unreachable() {
    let (store, bucket) = Faulty::bucket(Fault::Refused, usize::MAX);
    let error = bucket.read("keys/a").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert_eq!(error.to_string(), "cannot read `keys/a` in the store");
    assert_eq!(store.n_requests(), 1 + RETRIES_MAX);
}

#[tokio::test]
async fn a_store_that_says_no_is_not_asked_again() {
    let (store, bucket) = Faulty::bucket(Fault::Forbidden, usize::MAX);
    let error = bucket.create("keys/a", Vec::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert_eq!(store.n_requests(), 1);
}

#[tokio::test]
async fn large_files_go_up_in_parts() {
    let folder = tempfile::tempdir().unwrap();
    let [source, back] = ["source", "back"].map(|name| folder.path().join(name));
    let bytes: Vec<u8> = (0..2 * PART_BYTES + 17).map(|i| (i % 251) as u8).collect();
    std::fs::write(&source, &bytes).unwrap();

    let (_, bucket) = Faulty::bucket(Fault::Refused, 0);
    let (length, digest) = bucket.store_blob(BLOBS, &source).await.unwrap();
    assert_eq!((length, digest), (bytes.len() as u64, Digest::of(&bytes)));
    assert!(bucket.load(&format!("{BLOBS}/{digest}"), &back).await.unwrap());
    assert!(std::fs::read(&back).unwrap() == bytes);
    assert!(!bucket.load(&format!("{BLOBS}/{}", Digest::of("other")), &back).await.unwrap());
}
