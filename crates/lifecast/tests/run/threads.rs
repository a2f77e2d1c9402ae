//! Two processes, with one thread and with two, make the same bytes of every stage.

use crate::shop::{Run, Shop};

fn run_with(n_threads: usize) -> Run {
    let shop = Shop::new();
    let mut command = shop.command();
    command.env("RAYON_NUM_THREADS", n_threads.to_string());
    let output = command.output().unwrap();
    Run {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn one_thread_or_two_make_the_same_bytes() {
    let [one, two] = [1, 2].map(|n_threads| run_with(n_threads).digests());
    assert!(one.len() >= 9, "{one:?}");
    assert_eq!(one, two);
}
