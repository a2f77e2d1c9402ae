//! `cargo run --release -p collective --example throughput` measures all-reduce between two
//! processes on this machine's loopback, beside copying the same bytes in memory.
//!
//! A payload of `n` bytes in `t` seconds is `n / t`; each rank sends `n` bytes then, and receives as
//! many (`2 (2 - 1) / 2` of them).

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "it measures, and says so")]
#![allow(clippy::disallowed_methods, reason = "it measures time")]

use std::hint::black_box;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use collective::rendezvous::Assignment;
use collective::tcp::{Config, Limits, Listener, Tcp, connect};
use collective::{Collective, Precision, Reduction};

/// Bytes of a payload, and how often it is reduced for one timing.
const CASES: [(usize, usize); 3] = [(100_000, 200), (1_000_000, 50), (25_000_000, 4)];

/// Timings of a case; the median counts.
const N_TIMINGS: usize = 9;

fn main() {
    if std::env::args().nth(1).as_deref() == Some("other") {
        let listener = Listener::bind("127.0.0.1:0").unwrap();
        println!("{}", listener.address());
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).unwrap();
        measure(&mut rank(listener, 1, line.trim()));
        return;
    }
    let listener = Listener::bind("127.0.0.1:0").unwrap();
    let mut other = Command::new(std::env::current_exe().unwrap())
        .arg("other")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut address = String::new();
    BufReader::new(other.stdout.take().unwrap()).read_line(&mut address).unwrap();
    let addresses = format!("{} {}", listener.address(), address.trim());
    writeln!(other.stdin.take().unwrap(), "{addresses}").unwrap();
    for (case, seconds) in measure(&mut rank(listener, 0, &addresses)) {
        println!("{case}: {seconds}");
    }
    other.wait().unwrap();
    for (n_bytes, n_times) in CASES {
        let (from, mut to) = (vec![1_u8; n_bytes], vec![0_u8; n_bytes]);
        let seconds = median(|| {
            let began = Instant::now();
            for _ in 0..n_times {
                black_box(&mut to).copy_from_slice(black_box(&from));
            }
            began.elapsed().as_secs_f64() / n_times as f64
        });
        println!("copy of {n_bytes} bytes: {}", pace(n_bytes, seconds));
    }
}

fn rank(listener: Listener, rank: usize, addresses: &str) -> Tcp {
    let began = Instant::now();
    let config =
        Config { limits: Limits::default(), tls: None, clock: Arc::new(move || began.elapsed()) };
    let addresses = addresses.split_whitespace().map(str::to_owned).collect();
    connect(listener, &Assignment { generation: 1, rank, addresses }, &config).unwrap()
}

fn measure(rank: &mut Tcp) -> Vec<(String, String)> {
    let mut results = Vec::new();
    for precision in [Precision::Full, Precision::Half] {
        for (n_bytes, n_times) in CASES {
            let mut values = vec![1.0_f32; n_bytes / 4];
            let before = rank.n_bytes_sent();
            let seconds = median(|| {
                rank.barrier().unwrap();
                let began = Instant::now();
                for _ in 0..n_times {
                    rank.all_reduce(&mut values, Reduction::Mean, precision).unwrap();
                }
                began.elapsed().as_secs_f64() / n_times as f64
            });
            let sent = (rank.n_bytes_sent() - before) as f64 / (N_TIMINGS * n_times) as f64;
            let case = format!("all-reduce of {n_bytes} bytes, {precision:?}");
            let ratio = sent / n_bytes as f64;
            results.push((case, format!("{}, {ratio:.4} of it sent", pace(n_bytes, seconds))));
        }
    }
    let seconds = median(|| {
        let began = Instant::now();
        (0..200).for_each(|_| rank.barrier().unwrap());
        began.elapsed().as_secs_f64() / 200.0
    });
    results.push(("barrier".into(), format!("{:.3} ms", seconds * 1e3)));
    results
}

fn median(mut timing: impl FnMut() -> f64) -> f64 {
    let mut timings: Vec<f64> = (0..N_TIMINGS).map(|_| timing()).collect();
    timings.sort_by(f64::total_cmp);
    timings[N_TIMINGS / 2]
}

fn pace(n_bytes: usize, seconds: f64) -> String {
    format!("{:.3} ms, {:.0} MB/s", seconds * 1e3, n_bytes as f64 / seconds / 1e6)
}
