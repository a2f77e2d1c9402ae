//! The command line: every stage as a batch command and as a server, and the pipeline runner.

fn main() {}
