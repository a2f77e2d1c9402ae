//! Servers on free ports, asked by real clients.

mod runs;
mod serving;
mod stage;
