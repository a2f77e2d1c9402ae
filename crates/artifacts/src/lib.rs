//! Publishes and reads immutable, content-addressed artifacts in an object store.
//!
//! An artifact is a directory of files that a stage made. It has two digests:
//!
//! - the *key* ([`Key::digest`]) says what it was made from: stage, code version, configuration,
//!   content digests of the inputs, execution. It is known before the work is done, so it answers
//!   "has this been made already?";
//! - the *content digest* ([`Artifact::digest`]) says what it is: the SHA-256 of the canonical
//!   [`Manifest`] (names, lengths and SHA-256 of the files; no time, host or path). It is what
//!   stages pass to each other, and what two runs are compared by.
//!
//! ```text
//! blobs/<sha256>      the bytes of one file
//! contents/<digest>   the manifest of the artifact with this content digest
//! keys/<key>          content digest, manifest, and the key's own fields for people
//! drafts/<key>/      the last states of unfinished work, with an index written last
//! damaged/<digest>    what was found to differ from its name, moved out of the way
//! ```
//!
//! They are written in this order, and `keys/<key>` with put-if-absent: a process killed at any
//! moment leaves at most files that nothing names yet. Two who publish under one key either made
//! the same content, and the second has a hit, or the work is [`Error::NotReproducible`].
//!
//! Everything read is held against its digest. What is damaged is an error that names it, and is
//! moved to `damaged/`, so that the next run finds it missing and makes it anew.

mod backend;
mod bucket;
mod drafts;
mod error;
mod files;
mod folder;
mod key;
mod manifest;
mod produce;
mod scratch;
mod store;
mod workplace;

pub use error::Error;
pub use key::Key;
pub use manifest::{FILES_MAX, File, Manifest};
pub use produce::{ProduceError, Produced};
pub use store::{Artifact, Store};
pub use workplace::{Folders, Order, Workplace};
