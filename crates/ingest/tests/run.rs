//! The stage as its caller sees it: files and a mapping in, a data set or a clear error out.

#[path = "run/bad_input.rs"]
mod bad_input;
#[path = "run/cleaning.rs"]
mod cleaning;
#[path = "run/determinism.rs"]
mod determinism;
#[path = "run/formats.rs"]
mod formats;
#[path = "run/panels.rs"]
mod panels;
#[path = "run/real_data.rs"]
mod real_data;
#[path = "run/shop.rs"]
mod shop;
