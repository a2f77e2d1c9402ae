//! The protobuf messages as Rust, and their mapping to the domain.
