//! Publishes and reads immutable, content-addressed artifacts in an object store.
