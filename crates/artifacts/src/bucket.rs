//! A store behind `object_store`: S3 and what speaks like it, or this process's memory.
//!
//! Whatever can be repeated is, a few times, on errors that pass. Creating a record cannot: the
//! first attempt may have succeeded without our hearing of it, and the second would then report a
//! stranger. So on an unknown outcome we look whether the record is there now, and say "may exist".

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use bytes::Bytes;
use futures::TryStreamExt;
use lifecycle::{Digest, Hasher};
use object_store::aws::AmazonS3Builder;
use object_store::path::Path as ObjectPath;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutMode, RetryConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::Error;
use crate::backend::{DAMAGED, RECORD_BYTES_MAX, too_large};
use crate::files::{blocking, digest};

/// Bytes of one part of an upload; what is not larger goes up in one request. At most two are in
/// memory per file. S3 takes 10,000 parts: files end at 80 GB.
const PART_BYTES: usize = 8 << 20;

/// Attempts after the first.
const RETRIES_MAX: usize = 4;
const RETRY_DELAY_MIN: Duration = Duration::from_millis(50);

/// An object store and the prefix below which everything lies.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    objects: Arc<dyn ObjectStore>,
    prefix: String,
}

impl Bucket {
    pub(crate) fn new(objects: Arc<dyn ObjectStore>, prefix: &str) -> Self {
        Self { objects, prefix: prefix.to_owned() }
    }

    /// `BUCKET/PREFIX` on S3; credentials, region and endpoint come from the usual `AWS_` variables.
    pub(crate) fn s3(place: &str) -> Result<Self, object_store::Error> {
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        let retry = RetryConfig {
            max_retries: RETRIES_MAX,
            retry_timeout: Duration::from_mins(1),
            ..RetryConfig::default()
        };
        let s3 = AmazonS3Builder::from_env().with_bucket_name(bucket).with_retry(retry).build()?;
        Ok(Self::new(Arc::new(s3), prefix.trim_end_matches('/')))
    }

    pub(crate) async fn read(&self, record: &str) -> Result<Option<Vec<u8>>, Error> {
        let path = self.path(record);
        let read = || async {
            let got = self.objects.get(&path).await?;
            if got.meta.size > RECORD_BYTES_MAX {
                return Ok(None);
            }
            got.bytes().await.map(|bytes| Some(bytes.to_vec()))
        };
        match found(retried("read", read).await) {
            Ok(Some(None)) => Err(too_large(record)),
            Ok(bytes) => Ok(bytes.flatten()),
            Err(source) => Err(failed("read", record)(source)),
        }
    }

    pub(crate) async fn create(&self, record: &str, bytes: Vec<u8>) -> Result<bool, Error> {
        let path = self.path(record);
        let bytes = Bytes::from(bytes);
        let create = || async {
            let put = self.objects.put_opts(&path, bytes.clone().into(), PutMode::Create.into());
            match put.await {
                Ok(_) => Ok(true),
                Err(
                    object_store::Error::AlreadyExists { .. }
                    | object_store::Error::Precondition { .. },
                ) => Ok(false),
                Err(error) if passes(&error) => match found(self.objects.head(&path).await)? {
                    Some(_) => Ok(false), // ours or another's: the caller reads it back
                    None => Err(error),   // surely not ours: may be tried again
                },
                Err(error) => Err(error),
            }
        };
        retried("create", create).await.map_err(failed("create", record))
    }

    pub(crate) async fn write(&self, record: &str, bytes: Vec<u8>) -> Result<(), Error> {
        let path = self.path(record);
        let bytes = Bytes::from(bytes);
        let write = || async { self.objects.put(&path, bytes.clone().into()).await };
        retried("write", write).await.map(|_| ()).map_err(failed("write", record))
    }

    pub(crate) async fn store_blob(
        &self,
        below: &str,
        source: &Path,
    ) -> Result<(u64, Digest), Error> {
        let path = source.to_owned();
        let (length, digest) = blocking(move || digest(&path)).await?;
        let object = format!("{below}/{digest}");
        let path = self.path(&object);
        let upload = || async {
            if length <= PART_BYTES as u64 {
                self.upload_whole(source, &path).await
            } else {
                self.upload_parts(source, &path).await
            }
        };
        // The name was taken from a first reading: what went up must have been the same bytes.
        let sent = retried("write", upload).await.map_err(failed("write", &object))?;
        if sent != digest {
            self.set_aside(&object).await?;
            let reason = "it was written to while it was published".to_owned();
            return Err(Error::Unpublishable { path: source.to_owned(), reason });
        }
        Ok((length, digest))
    }

    async fn upload_whole(
        &self,
        source: &Path,
        path: &ObjectPath,
    ) -> Result<Digest, object_store::Error> {
        let bytes = tokio::fs::read(source).await.map_err(local)?;
        let digest = Digest::of(&bytes);
        self.objects.put(path, bytes.into()).await?;
        Ok(digest)
    }

    async fn upload_parts(
        &self,
        source: &Path,
        path: &ObjectPath,
    ) -> Result<Digest, object_store::Error> {
        let mut upload = self.objects.put_multipart(path).await?;
        match send_parts(source, upload.as_mut()).await {
            Ok(digest) => Ok(digest),
            Err(error) => {
                let _ = upload.abort().await; // else the bucket's own rules clear it away
                Err(error)
            }
        }
    }

    pub(crate) async fn load(&self, object: &str, to: &Path) -> Result<bool, Error> {
        let path = self.path(object);
        let load = || async {
            let mut pieces = self.objects.get(&path).await?.into_stream();
            let mut file = tokio::fs::File::create(to).await.map_err(local)?;
            while let Some(piece) = pieces.try_next().await? {
                file.write_all(&piece).await.map_err(local)?;
            }
            file.flush().await.map_err(local)
        };
        let loaded = found(retried("read", load).await).map_err(failed("read", object))?;
        Ok(loaded.is_some())
    }

    pub(crate) async fn length(&self, object: &str) -> Result<Option<u64>, Error> {
        let path = self.path(object);
        let head = || async { self.objects.head(&path).await };
        found(retried("look at", head).await)
            .map(|meta| meta.map(|meta| meta.size))
            .map_err(failed("look at", object))
    }

    pub(crate) async fn set_aside(&self, object: &str) -> Result<(), Error> {
        let name = object.rsplit('/').next().unwrap_or(object);
        let (from, to) = (self.path(object), self.path(&format!("{DAMAGED}/{name}")));
        let copy = || async { self.objects.copy(&from, &to).await };
        found(retried("move", copy).await).map_err(failed("move", object))?;
        self.delete(object).await
    }

    pub(crate) async fn delete(&self, object: &str) -> Result<(), Error> {
        let path = self.path(object);
        let delete = || async { self.objects.delete(&path).await };
        found(retried("delete", delete).await).map(|_| ()).map_err(failed("delete", object))
    }

    fn path(&self, object: &str) -> ObjectPath {
        ObjectPath::from(format!("{}/{object}", self.prefix))
    }
}

/// Reads the file in parts and sends each; answers the digest of what was sent.
async fn send_parts(
    source: &Path,
    upload: &mut dyn MultipartUpload,
) -> Result<Digest, object_store::Error> {
    let mut file = tokio::fs::File::open(source).await.map_err(local)?;
    let mut hasher = Hasher::default();
    loop {
        let mut part = Vec::with_capacity(PART_BYTES);
        (&mut file).take(PART_BYTES as u64).read_to_end(&mut part).await.map_err(local)?;
        if part.is_empty() {
            upload.complete().await?;
            return Ok(hasher.finish());
        }
        hasher.update(&part);
        upload.put_part(part.into()).await?;
    }
}

/// Does it, and again a few times, with growing pauses, while the error is one that passes.
async fn retried<T, F: Future<Output = Result<T, object_store::Error>>>(
    action: &'static str,
    operation: impl FnMut() -> F,
) -> Result<T, object_store::Error> {
    let pauses =
        ExponentialBuilder::default().with_min_delay(RETRY_DELAY_MIN).with_max_times(RETRIES_MAX);
    operation
        .retry(pauses)
        .when(passes)
        .notify(|error, pause| tracing::warn!(%error, ?pause, action, "store failed, trying again"))
        .await
}

/// Whether the same request may succeed a moment later.
fn passes(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::Generic { store, .. } if *store != LOCAL)
}

/// Marks an error of this machine's files, on their way to or from the store.
const LOCAL: &str = "local files";

fn local(error: std::io::Error) -> object_store::Error {
    object_store::Error::Generic { store: LOCAL, source: Box::new(error) }
}

fn failed(action: &'static str, object: &str) -> impl FnOnce(object_store::Error) -> Error {
    move |source| Error::Objects { action, object: object.to_owned(), source }
}

/// `None` for what is not there.
fn found<T>(result: Result<T, object_store::Error>) -> Result<Option<T>, object_store::Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
