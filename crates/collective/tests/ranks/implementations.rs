//! The implementations keep their promises.

use std::time::Duration;

use collective::{conformance, in_process};

use crate::groups::{clock, config, patient_limits, quick_limits, tcp_group, tls};

/// Within this a lost rank is noticed, on a machine that does other things as well.
const NOTICED: Duration = Duration::from_secs(5);

#[test]
fn in_process_reduces() {
    conformance::reduction(|n_ranks| in_process::group(n_ranks, 1, Duration::from_mins(1)));
}

#[test]
fn in_process_notices_losses() {
    let group = |n_ranks| in_process::group(n_ranks, 1, Duration::from_mins(1));
    conformance::failure(group, NOTICED, &clock());
}

#[test]
fn tcp_reduces() {
    let config = config(patient_limits(), None);
    conformance::reduction(|n_ranks| tcp_group(n_ranks, &config));
}

#[test]
fn tcp_notices_losses() {
    let config = config(quick_limits(), None);
    conformance::failure(|n_ranks| tcp_group(n_ranks, &config), NOTICED, &clock());
}

#[test]
fn tcp_with_tls_reduces() {
    let config = config(patient_limits(), Some(tls()));
    conformance::reduction(|n_ranks| tcp_group(n_ranks, &config));
}

#[test]
fn tcp_with_tls_notices_losses() {
    let config = config(quick_limits(), Some(tls()));
    conformance::failure(|n_ranks| tcp_group(n_ranks, &config), NOTICED, &clock());
}
