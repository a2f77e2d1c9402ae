//! World size changes speed, not meaning: shards' gradients weighted by their rows are the
//! gradient of their union.

use std::thread;
use std::time::Duration;

use collective::{Collective, Precision, in_process};
use proptest::prelude::*;

const N_WEIGHTS: usize = 5;

/// A row's features, and its target.
type Row = ([f32; N_WEIGHTS], f32);

/// Gradient of the mean squared error of a linear model over the rows; 0 where there are none.
fn gradient(weights: &[f32; N_WEIGHTS], rows: &[Row]) -> Vec<f32> {
    let mut gradient = [0.0; N_WEIGHTS];
    for (features, target) in rows {
        let answer: f32 = features.iter().zip(weights).map(|(x, w)| x * w).sum();
        for (sum, x) in gradient.iter_mut().zip(features) {
            *sum += 2.0 * (answer - target) * x;
        }
    }
    let n_rows = rows.len().max(1) as f32;
    gradient.iter().map(|sum| sum / n_rows).collect()
}

fn row() -> impl Strategy<Value = Row> {
    (prop::array::uniform5(-2.0_f32..2.0), -3.0_f32..3.0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn shards_of_any_sizes_give_the_gradient_of_their_union(
        weights in prop::array::uniform5(-1.0_f32..1.0),
        rows in prop::collection::vec(row(), 1..80),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 3),
        n_ranks in 2_usize..5,
    ) {
        let mut cuts: Vec<usize> =
            cuts[..n_ranks - 1].iter().map(|cut| cut.index(rows.len() + 1)).collect();
        cuts.extend([0, rows.len()]);
        cuts.sort_unstable();
        let union = gradient(&weights, &rows);
        let results: Vec<Vec<f32>> = thread::scope(|scope| {
            let ranks = in_process::group(n_ranks, 1, Duration::from_mins(1));
            let threads: Vec<_> = ranks
                .into_iter()
                .zip(cuts.windows(2))
                .map(|(mut rank, cut)| {
                    let shard = &rows[cut[0]..cut[1]];
                    let mut values = gradient(&weights, shard);
                    scope.spawn(move || {
                        let n_rows = shard.len() as f32;
                        rank.weighted_mean(&mut values, n_rows, Precision::Full).unwrap();
                        values
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let norm = |values: &[f32]| values.iter().map(|value| value * value).sum::<f32>().sqrt();
        // Relative to the rows' gradients where those cancel out in the union.
        let scale: f32 = rows
            .iter()
            .map(|row| norm(&gradient(&weights, &[*row])))
            .sum::<f32>()
            / rows.len() as f32;
        for result in results {
            let error: Vec<f32> = result.iter().zip(&union).map(|(a, b)| a - b).collect();
            let relative = norm(&error) / norm(&union).max(0.1 * scale).max(1e-6);
            prop_assert!(relative <= 1e-5, "{relative}: {result:?}, not {union:?}");
        }
    }
}
