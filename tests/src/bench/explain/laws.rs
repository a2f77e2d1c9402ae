//! What must hold of every explanation: intervals that cover, and the axioms of Shapley.

use explainer::estimator::Method;

use super::games::{KINDS, Table, random};
use super::{Line, estimated};
use crate::bench::budget::Effort;

/// Players of the random games, and what is spent on them.
const N_PLAYERS: usize = 10;

/// Evaluations within which intervals are judged.
const BUDGETS: [usize; 3] = [60, 110, 220];

/// Shares of exact values within 95 % intervals that are right.
const COVERAGE: std::ops::RangeInclusive<f64> = 0.93..=0.97;

/// Greatest gap of base plus values to everybody's output.
const EFFICIENCY: f64 = 1e-9;

/// All laws, on 100 random games of each kind, or on 1,000 with `--full`.
pub(super) fn lines(effort: Effort) -> Vec<Line> {
    let n_games = if effort == Effort::Full { 1000 } else { 100 };
    let methods = [Method::Gaussian, Method::Leverage, Method::Odd, Method::Permutation];
    let mut lines = Vec::new();
    let (mut gap, mut n_gaps) = (0.0_f64, 0);
    for method in methods {
        for budget in BUDGETS {
            let (mut n_covered, mut n) = (0, 0);
            for (kind, seed) in
                (0..KINDS.len()).flat_map(|kind| (0..n_games).map(move |seed| (kind, seed)))
            {
                let table = random(kind, N_PLAYERS, seed);
                let found = estimated(&table, method, budget, seed);
                let (estimate, exact) = (&found.attributions[0], &table.exact()[0]);
                for player in 0..N_PLAYERS {
                    let apart = (estimate.values[player] - exact.values[player]).abs();
                    let width = found.quantile * estimate.standard_errors[player];
                    n_covered += usize::from(apart <= width + 1e-12);
                }
                n += N_PLAYERS;
                gap = gap.max(estimate.gap(table.rows[table.rows.len() - 1][0]));
                n_gaps += 1;
            }
            let coverage = n_covered as f64 / n as f64;
            let case = format!(
                "{} random games of {N_PLAYERS} players, {budget} evaluations, 95 % intervals",
                KINDS.len() as u64 * n_games
            );
            lines.push(Line {
                better: "93 to 97 %".to_owned(),
                ..line((case, "coverage"), method, (coverage, COVERAGE.contains(&coverage)), n)
            });
        }
    }
    let case = "all estimates of random games".to_owned();
    lines.push(line((case, "efficiency gap"), Method::Gaussian, (gap, gap <= EFFICIENCY), n_gaps));
    lines.extend(methods.map(axioms));
    lines
}

/// With all coalitions, how far a dummy's value is from 0, those of equals from each other, and
/// those of a sum from the sums.
fn axioms(method: Method) -> Line {
    let (mut apart, mut n) = (0.0_f64, 0);
    for seed in 0..20 {
        let (first, second) = (random(0, 6, seed), random(1, 6, seed));
        let mut sum = first.clone();
        for (sum, second) in sum.rows.iter_mut().zip(&second.rows) {
            sum[0] += second[0];
        }
        // Player 6 stands in for player 0, and player 7 says nothing.
        let doubled = Table::of(8, |present| {
            let either = usize::from(present[0] || present[6]);
            let others = (1..6).fold(either, |bits, at| bits | usize::from(present[at]) << at);
            sum.rows[others][0]
        });
        let values = |table: &Table| {
            let all = 1 << table.n_players;
            estimated(table, method, all, seed).attributions.remove(0).values
        };
        let (first, second, of_sum) = (values(&first), values(&second), values(&sum));
        for player in 0..6 {
            apart = apart.max((first[player] + second[player] - of_sum[player]).abs());
        }
        let doubled = values(&doubled);
        apart = apart.max((doubled[0] - doubled[6]).abs()).max(doubled[7].abs());
        n += 8;
    }
    let case = "all coalitions of random games: linearity, symmetry, dummy".to_owned();
    line((case, "axioms gap"), method, (apart, apart <= EFFICIENCY), n)
}

fn line(
    (case, metric): (String, &'static str),
    method: Method,
    (ours, holds): (f64, bool),
    n: usize,
) -> Line {
    Line {
        ours: Some(ours),
        better: "at most 1e-9".to_owned(),
        holds: Some(holds),
        n,
        ..Line::new(case, metric, method)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axioms_hold_of_all_coalitions() {
        for method in Method::ALL {
            assert_eq!(axioms(method).holds, Some(true), "{method}");
        }
    }
}
