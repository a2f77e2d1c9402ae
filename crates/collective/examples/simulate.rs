//! `cargo run -p collective --example simulate -- FROM TO` lives through the worlds of these seeds;
//! with one seed it shows what happens in it.

#![allow(clippy::print_stdout, reason = "this is what it is for")]

use std::process::ExitCode;

use collective::simulation::{self, Tally};

fn main() -> ExitCode {
    let seeds: Result<Vec<u64>, _> = std::env::args().skip(1).map(|seed| seed.parse()).collect();
    match seeds.as_deref() {
        Ok([seed]) => show(*seed),
        Ok([from, to]) => search(*from, *to),
        _ => {
            println!("usage: simulate SEED, or simulate FROM TO");
            ExitCode::from(2)
        }
    }
}

fn show(seed: u64) -> ExitCode {
    let (lines, outcome) = simulation::trace(seed);
    for line in lines {
        println!("{line}");
    }
    match outcome {
        Ok(tally) => {
            println!("{tally:?}");
            ExitCode::SUCCESS
        }
        Err(violation) => {
            println!("{violation}");
            ExitCode::FAILURE
        }
    }
}

fn search(from: u64, to: u64) -> ExitCode {
    let mut sum = Tally::default();
    let mut n_violations = 0_u32;
    for seed in from..to {
        match simulation::run(seed) {
            Ok(tally) => {
                sum.n_operations += tally.n_operations;
                sum.n_generations += tally.n_generations;
                sum.n_failures += tally.n_failures;
                sum.n_refused += tally.n_refused;
            }
            Err(violation) => {
                n_violations += 1;
                println!("{violation}");
            }
        }
    }
    println!("seeds {from} to {to}: {n_violations} violations; {sum:?}");
    if n_violations == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
