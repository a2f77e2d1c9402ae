//! The stage as its caller sees it: files and a mapping in, a data set or a clear error out.

#![allow(clippy::needless_raw_string_hashes, reason = "expect-test writes them so")]
#![allow(clippy::needless_pass_by_value, reason = "a case reads better without a borrow")]
#![allow(clippy::format_collect, clippy::format_push_string, reason = "small texts of cases")]

#[path = "run/bad_input.rs"]
mod bad_input;
#[path = "run/cleaning.rs"]
mod cleaning;
#[path = "run/determinism.rs"]
mod determinism;
#[path = "run/formats.rs"]
mod formats;
#[path = "run/page.rs"]
mod page;
#[path = "run/panels.rs"]
mod panels;
#[path = "run/real_data.rs"]
mod real_data;
#[path = "run/shop.rs"]
mod shop;
