//! Rendezvous and ring in simulated worlds. `cargo run -p collective --example simulate -- 0 10000`
//! lives through more of them.

use collective::simulation::{self, Tally};

const N_SEEDS: u64 = 300;

#[test]
fn nothing_goes_wrong_in_simulated_worlds() {
    let mut n_refused = 0;
    for seed in 0..N_SEEDS {
        match simulation::run(seed) {
            Ok(Tally { n_operations, n_refused: n, .. }) => {
                assert!(n_operations > 0, "seed {seed} did nothing");
                n_refused += n;
            }
            Err(violation) => panic!("{violation}"),
        }
    }
    assert!(n_refused > 0, "no world had a late frame, so that refusing them was not tried");
}

#[test]
fn a_seed_is_a_world() {
    assert_eq!(simulation::trace(7), simulation::trace(7));
}
