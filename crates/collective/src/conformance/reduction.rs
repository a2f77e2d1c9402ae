//! Results: right, and equal to the bit.

use std::sync::atomic::{AtomicUsize, Ordering};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::on_all;
use crate::{CHUNK_LEN, Collective, Error, Precision, Reduction};

/// Lengths that divide by no number of ranks, fill chunks or just not, or are hardly there.
const LENGTHS: [usize; 8] = [0, 1, 2, 3, 7, 1_000, CHUNK_LEN * 3, CHUNK_LEN * 5 + 11];

/// Groups of 1 to 5 ranks, made by `group`, reduce, broadcast, gather and meet.
///
/// # Panics
///
/// If a result is wrong, or differs between ranks or runs.
pub fn reduction<C: Collective>(group: impl Fn(usize) -> Vec<C>) {
    for n_ranks in 1..=5 {
        let mut ranks = group(n_ranks);
        for (rank, collective) in ranks.iter().enumerate() {
            assert_eq!((collective.rank(), collective.n_ranks()), (rank, n_ranks));
        }
        for len in LENGTHS {
            sums(&mut ranks, len, Precision::Full);
            sums(&mut ranks, len, Precision::Half);
            broadcasts(&mut ranks, len);
        }
        means(&mut ranks);
        weighted_means(&mut ranks);
        gathers(&mut ranks);
        barriers(&mut ranks);
        many(&mut ranks);
        bytes(&mut ranks);
        unusable_arguments(&mut ranks);
    }
}

/// A rank's values, the same in each run.
fn values(rank: usize, len: usize) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(rank as u64);
    (0..len).map(|_| rng.random_range(-1.0..1.0)).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Asserts that all ranks hold the same bits; the values of the first.
fn agreed(results: Vec<Vec<f32>>) -> Vec<f32> {
    let first = bits(&results[0]);
    for (rank, result) in results.iter().enumerate() {
        assert!(bits(result) == first, "ranks 0 and {rank} hold different bits");
    }
    results.into_iter().next().expect("a group has a rank")
}

fn sums<C: Collective>(ranks: &mut [C], len: usize, precision: Precision) {
    let n_ranks = ranks.len();
    let run = |ranks: &mut [C]| {
        agreed(on_all(ranks, |collective| {
            let mut values = values(collective.rank(), len);
            collective
                .all_reduce(&mut values, Reduction::Sum, precision)
                .expect("the group is whole");
            values
        }))
    };
    let (result, again) = (run(ranks), run(ranks));
    assert!(bits(&result) == bits(&again), "two runs gave different bits");
    let all: Vec<_> = (0..n_ranks).map(|rank| values(rank, len)).collect();
    // Each of `n_ranks` roundings errs by 2^-11 of the largest partial sum, at most.
    let tolerance = match precision {
        Precision::Full => 1e-6 * n_ranks as f64,
        Precision::Half => 2_f64.powi(-11) * (n_ranks * n_ranks) as f64,
    };
    for (i, sum) in result.iter().enumerate() {
        let expected: f64 = all.iter().map(|values| f64::from(values[i])).sum();
        let error = (f64::from(*sum) - expected).abs();
        assert!(error <= tolerance, "{n_ranks} ranks, place {i} of {len}: {sum}, not {expected}");
    }
}

fn means<C: Collective>(ranks: &mut [C]) {
    let n_ranks = ranks.len();
    for precision in [Precision::Full, Precision::Half] {
        let result = agreed(on_all(ranks, |collective| {
            let mut values = [collective.rank() as f32, 1.0];
            collective
                .all_reduce(&mut values, Reduction::Mean, precision)
                .expect("the group is whole");
            values.to_vec()
        }));
        assert_eq!(result, [(n_ranks - 1) as f32 / 2.0, 1.0]);
    }
}

fn weighted_means<C: Collective>(ranks: &mut [C]) {
    let n_ranks = ranks.len();
    let result = agreed(on_all(ranks, |collective| {
        let rank = collective.rank();
        let mut values = [rank as f32];
        let total = collective.weighted_mean(&mut values, rank as f32, Precision::Full);
        match total {
            Ok(total) => vec![values[0], total],
            Err(Error::Weightless { total }) => vec![total],
            Err(error) => panic!("a weighted mean failed: {error}"),
        }
    }));
    let total: usize = (0..n_ranks).sum();
    let squares: usize = (0..n_ranks).map(|rank| rank * rank).sum();
    if total == 0 {
        assert_eq!(result, [0.0], "of no weight there is no mean, and all ranks say so");
    } else {
        assert!((result[0] - squares as f32 / total as f32).abs() < 1e-5);
        assert_eq!(result[1], total as f32);
    }
}

fn broadcasts<C: Collective>(ranks: &mut [C], len: usize) {
    for root in 0..ranks.len() {
        let result = agreed(on_all(ranks, |collective| {
            let mut values = values(collective.rank(), len);
            collective.broadcast(&mut values, root).expect("the group is whole");
            values
        }));
        assert!(bits(&result) == bits(&values(root, len)), "not what root {root} had");
    }
}

fn gathers<C: Collective>(ranks: &mut [C]) {
    // Of uneven lengths, the first and another one of them 0.
    let len = |rank: usize| if rank == 3 { 0 } else { rank * 70_001 };
    let n_ranks = ranks.len();
    for result in on_all(ranks, |collective| {
        let mine = values(collective.rank(), len(collective.rank()));
        collective.all_gather(&mine).expect("the group is whole")
    }) {
        assert_eq!(result.len(), n_ranks);
        for (rank, gathered) in result.iter().enumerate() {
            assert!(bits(gathered) == bits(&values(rank, len(rank))), "not what {rank} had");
        }
    }
}

fn barriers<C: Collective>(ranks: &mut [C]) {
    let n_ranks = ranks.len();
    let n_come = AtomicUsize::new(0);
    on_all(ranks, |collective| {
        for round in 1..=50 {
            n_come.fetch_add(1, Ordering::SeqCst);
            collective.barrier().expect("the group is whole");
            let n_come = n_come.load(Ordering::SeqCst);
            assert!(n_come >= round * n_ranks, "a barrier let through: {n_come} in {round}");
        }
    });
}

/// Many operations of all kinds in sequence, none of which may take another's frames.
fn many<C: Collective>(ranks: &mut [C]) {
    on_all(ranks, |collective| {
        let n_ranks = collective.n_ranks();
        for round in 0..60 {
            let mut values = vec![(round * (collective.rank() + 1)) as f32; round % 7];
            let sum = (round * n_ranks * (n_ranks + 1) / 2) as f32;
            let kept = values.clone();
            collective
                .all_reduce(&mut values, Reduction::Sum, Precision::Full)
                .expect("the group is whole");
            assert_eq!(values, vec![sum; round % 7]);
            values.copy_from_slice(&kept);
            collective.broadcast(&mut values, round % n_ranks).expect("the group is whole");
            assert_eq!(values, vec![(round * (round % n_ranks + 1)) as f32; round % 7]);
            assert_eq!(collective.all_gather(&kept).expect("the group is whole").len(), n_ranks);
        }
    });
}

/// Traffic is the least there can be, and 2 %.
fn bytes<C: Collective>(ranks: &mut [C]) {
    let (n_ranks, len) = (ranks.len(), 250_000);
    for (precision, width) in [(Precision::Full, 4), (Precision::Half, 2)] {
        for n_bytes in on_all(ranks, |collective| {
            let before = collective.n_bytes_sent();
            let mut values = values(collective.rank(), len);
            collective
                .all_reduce(&mut values, Reduction::Sum, precision)
                .expect("the group is whole");
            collective.n_bytes_sent() - before
        }) {
            let least = (2 * (n_ranks - 1) * len * width) as f64 / n_ranks as f64;
            let n_bytes = n_bytes as f64;
            assert!(n_bytes <= least * 1.02, "{n_bytes} bytes of {n_ranks} ranks, not {least}");
        }
    }
}

fn unusable_arguments<C: Collective>(ranks: &mut [C]) {
    let n_ranks = ranks.len();
    on_all(ranks, |collective| {
        let error = collective.broadcast(&mut [0.0], n_ranks);
        assert!(matches!(error, Err(Error::Usage { .. })));
        collective.barrier().expect("arguments that are refused break no group");
    });
}
