//! How much two players add together beyond what each adds alone: pairwise Shapley interaction
//! indices (Grabisch & Roubens 1999), from the pairs of coalitions that were evaluated anyway.
//!
//! The index of two players is the mean over coalitions of the others of what the game gains by both
//! beyond the sum of what it gains by each, all sizes of coalitions being equally likely. It depends
//! on a game `v` only through its even part `e(S) = (v(S) + v(S'))/2`, as values do on the odd one
//! (`pairs.rs`). Written in signs the even part is a sum of terms of an even number of players, and
//! a term of `t` players adds `4 / (t - 1)` times its coefficient to the index of each two of them:
//! the mean of a product of `m` signs, `m` even, is `1 / (m + 1)` where all sizes are equally
//! likely.
//!
//! Of all pairs that is exact. Of fewer, terms of two players and a constant are fitted to the even
//! part by least squares, weighted so that sizes are equally likely whatever was sampled
//! (post-stratification). What the fit misses of each pair is then added, each pair standing for all
//! of its size (the generalised regression estimator of Cassel, Särndal & Wretman 1976): so terms of
//! four players and more bias nothing, and indices become the exact ones as the last pairs are seen.
//! Errors are by the jackknife that leaves out one pair at a time, in closed form (Miller 1974), with a
//! finite-population correction: a size of which all pairs were seen adds none.
//!
//! How much of the even part the terms of two players do not tell is said, too: by what each pair is
//! missed when it is left out of the fit, for a fit follows the pairs it was made from too well. Fewer
//! pairs than three times as many as there are unknowns tell nothing.

use lifecycle::InteractionSource;
use nalgebra::{DMatrix, DVector};
use serde::{Deserialize, Serialize};

use super::pairs::{Pair, Seen};
use super::regression::LEVERAGE_MAX;
use super::walsh;
use crate::exact::weight;

/// Pairs for each unknown, at least.
const PAIRS_PER_UNKNOWN: usize = 3;

/// What each two players add together beyond what each adds alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Interactions {
    /// How they are known, or why they are not.
    pub source: InteractionSource,
    /// Indices of the players 0 and 1, 0 and 2, ..., in the unit of the output; empty where they are
    /// not known. Shape `[n_outputs, n_players * (n_players - 1) / 2]`.
    pub values: Vec<Vec<f64>>,
    /// Standard error of each index, 0 where it is exact. Shape as of `values`.
    pub standard_errors: Vec<Vec<f64>>,
    /// Share of the even part's variance that terms of two players leave untold, of pairs that those
    /// were not fitted to; at most 1, 0 where indices are exact. Length `n_outputs`, or 0.
    pub untold: Vec<f64>,
}

impl Interactions {
    /// None are known.
    pub(crate) fn absent(source: InteractionSource) -> Self {
        Self { source, values: Vec::new(), standard_errors: Vec::new(), untold: Vec::new() }
    }

    /// All that the pairs tell.
    pub(crate) fn of(seen: &Seen) -> Self {
        if seen.is_complete() {
            let values: Vec<Vec<f64>> = seen.even.iter().map(|even| exact(seen, even)).collect();
            let standard_errors = values.iter().map(|of| vec![0.0; of.len()]).collect();
            let untold = vec![0.0; seen.even.len()];
            return Self { source: InteractionSource::Exact, values, standard_errors, untold };
        }
        let n_unknowns = 1 + n_twos(seen.n_players);
        let is_enough = seen.pairs.len() >= PAIRS_PER_UNKNOWN * n_unknowns;
        let fit = is_enough.then(|| Fit::new(seen)).flatten();
        fit.map_or_else(|| Self::absent(InteractionSource::TooFew), |fit| fit.told(&seen.even))
    }
}

/// Terms of two players, and what the pairs that were seen tell of indices.
struct Fit {
    /// Roots of what pairs weigh. Length `n_pairs`.
    roots: Vec<f64>,
    /// Terms at each pair, by the root of its weight. Shape `[n_pairs, n_terms]`.
    design: DMatrix<f64>,
    /// By how much a unit of an even part, by the root of its weight, changes each coefficient. Shape
    /// `[n_terms, n_pairs]`.
    influences: DMatrix<f64>,
    /// The same of each index. Shape `[n_twos, n_pairs]`.
    gains: DMatrix<f64>,
    /// What is left of each pair's residual by the fit's following it. Length `n_pairs`.
    kept: Vec<f64>,
    /// Share of the pairs of its size that were not seen. Length `n_pairs`.
    unseen: Vec<f64>,
}

impl Fit {
    /// None where terms cannot be told apart.
    fn new(seen: &Seen) -> Option<Self> {
        let n_players = seen.n_players;
        let roots: Vec<f64> = weights(seen).into_iter().map(f64::sqrt).collect();
        let last = n_players - 1;
        let term = |(one, other): (usize, usize)| {
            if other == last { 1_usize << one } else { 1 << one | 1 << other }
        };
        let terms: Vec<usize> = std::iter::once(0).chain(twos(n_players).map(term)).collect();
        let design = DMatrix::from_fn(seen.pairs.len(), terms.len(), |row, column| {
            sign(terms[column], seen.pairs[row]) * roots[row]
        });
        let mut normal = design.transpose() * &design;
        let size = normal.trace() / terms.len() as f64;
        for place in 0..terms.len() {
            // What rounding takes away.
            normal[(place, place)] += 1e-10 * size;
        }
        let influences = normal.cholesky()?.solve(&design.transpose());
        let kept = (0..seen.pairs.len()).map(|row| {
            let leverage = design.row(row).transpose().dot(&influences.column(row));
            1.0 - leverage.min(LEVERAGE_MAX)
        });
        let kept = kept.collect();
        let shares = shares_seen(seen);
        // What a residual adds, its pair standing for all of its size.
        let two: Vec<(usize, usize)> = twos(n_players).collect();
        let added = DMatrix::from_fn(two.len(), seen.pairs.len(), |row, pair| {
            part(n_players, two[row], seen.pairs[pair]) / (shares[pair] * roots[pair])
        });
        let gains = influences.rows(1, two.len()) * 4.0 + &added - &added * &design * &influences;
        let unseen = shares.iter().map(|share| 1.0 - share).collect();
        Some(Self { roots, design, influences, gains, kept, unseen })
    }

    /// Indices of each output from its even parts. Shape `[n_outputs, n_pairs]`.
    fn told(&self, even: &[Vec<f64>]) -> Interactions {
        let (mut values, mut standard_errors) = (Vec::new(), Vec::new());
        let mut untold = Vec::new();
        for even in even {
            let target = DVector::from_fn(even.len(), |row, _| even[row] * self.roots[row]);
            let residual = &target - &self.design * (&self.influences * &target);
            // By what each pair is missed when it is left out.
            let missed: Vec<f64> =
                residual.iter().zip(&self.kept).map(|(r, kept)| r / kept).collect();
            let total = variance(even, &self.roots);
            // What varies by less is rounding.
            let is_varied = total > 1e-12 * target.norm_squared();
            let share = missed.iter().map(|r| r.powi(2)).sum::<f64>() / total;
            untold.push(if is_varied { share.min(1.0) } else { 0.0 });
            values.push((&self.gains * &target).iter().copied().collect());
            let error = |two: usize| {
                let missed = missed.iter().zip(&self.unseen).enumerate();
                let change = missed.map(|(pair, (missed, unseen))| {
                    unseen * (self.gains[(two, pair)] * missed).powi(2)
                });
                change.sum::<f64>().sqrt()
            };
            standard_errors.push((0..self.gains.nrows()).map(error).collect());
        }
        Interactions { source: InteractionSource::Regression, values, standard_errors, untold }
    }
}

/// How many pairs of players there are.
fn n_twos(n_players: usize) -> usize {
    n_players * (n_players - 1) / 2
}

/// The two players of each index.
pub(crate) fn twos(n_players: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..n_players).flat_map(move |one| (one + 1..n_players).map(move |other| (one, other)))
}

/// Indices from the even parts of all pairs.
fn exact(seen: &Seen, even: &[f64]) -> Vec<f64> {
    let (n_players, n_pairs) = (seen.n_players, seen.n_possible());
    let mut terms = vec![0.0; n_pairs];
    for (pair, even) in seen.pairs.iter().zip(even) {
        terms[*pair] = even / n_pairs as f64;
    }
    walsh::transform(&mut terms);
    let twos: Vec<usize> = twos(n_players).map(|(one, other)| 1 << one | 1 << other).collect();
    let mut indices = vec![0.0; twos.len()];
    for (term, coefficient) in terms.iter().enumerate().skip(1) {
        let players = players_of_even_term(n_players, term);
        let each = 4.0 * coefficient / f64::from(players.count_ones() - 1);
        for (index, two) in indices.iter_mut().zip(&twos) {
            if players & two == *two {
                *index += each;
            }
        }
    }
    indices
}

/// The players of a term with an even number of them, a bit a player: the last one is in it where
/// the number of the others is odd.
fn players_of_even_term(n_players: usize, term: usize) -> usize {
    if term.count_ones().is_multiple_of(2) { term } else { term | 1 << (n_players - 1) }
}

/// How much of a pair's even part is in the index of two players: by the definition, coalition by
/// coalition, both members of the pair being in it alike.
fn part(n_players: usize, (one, other): (usize, usize), pair: Pair) -> f64 {
    let is_absent = |player: usize| pair >> player & 1;
    let n_absent = is_absent(one) + is_absent(other);
    let n_others = n_players - pair.count_ones() as usize + n_absent - 2;
    let sign = if n_absent == 1 { -1.0 } else { 1.0 };
    2.0 * sign * weight(n_players - 1, n_others)
}

/// The share of all pairs of a pair's size that was seen. Length `n_pairs`.
fn shares_seen(seen: &Seen) -> Vec<f64> {
    let n_seen = by_size(seen.n_players, seen.pairs.iter().copied());
    let n_all = by_size(seen.n_players, 0..seen.n_possible());
    let share = |pair: &Pair| {
        let size = size(seen.n_players, *pair);
        f64::from(n_seen[size]) / f64::from(n_all[size])
    };
    seen.pairs.iter().map(share).collect()
}

/// Players of the smaller member of a pair.
fn size(n_players: usize, pair: Pair) -> usize {
    let n_absent = pair.count_ones() as usize;
    n_absent.min(n_players - n_absent)
}

/// How many of some pairs are of each size. Length `n_players / 2 + 1`.
fn by_size(n_players: usize, pairs: impl Iterator<Item = Pair>) -> Vec<u32> {
    let mut n = vec![0; n_players / 2 + 1];
    for pair in pairs {
        n[size(n_players, pair)] += 1;
    }
    n
}

/// What each pair weighs, so that all sizes of coalitions weigh the same; they sum to 1 where a pair
/// of each size was seen.
fn weights(seen: &Seen) -> Vec<f64> {
    let n_players = seen.n_players;
    let n_seen = by_size(n_players, seen.pairs.iter().copied());
    let weight = |pair: &Pair| {
        let size = size(n_players, *pair);
        // Both members are of one size where half of the players are present.
        let n_sizes = if 2 * size == n_players { 1.0 } else { 2.0 };
        n_sizes / (n_players + 1) as f64 / f64::from(n_seen[size])
    };
    seen.pairs.iter().map(weight).collect()
}

/// The weighted variance around the weighted mean, times the sum of the weights.
fn variance(values: &[f64], roots: &[f64]) -> f64 {
    let weighted = values.iter().zip(roots).map(|(value, root)| value * root * root);
    let sum: f64 = roots.iter().map(|root| root * root).sum();
    let mean = weighted.sum::<f64>() / sum;
    values.iter().zip(roots).map(|(value, root)| ((value - mean) * root).powi(2)).sum()
}

/// The sign of a term at a pair.
fn sign(term: usize, pair: Pair) -> f64 {
    if (term & pair).count_ones().is_multiple_of(2) { 1.0 } else { -1.0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::estimator::pairs::members;
    use crate::estimator::{Limits, Method, estimate};

    /// What is told of a game, a bit a present player, from the first so many pairs of a stride that
    /// passes all.
    fn told(n_players: usize, n_pairs: usize, game: impl Fn(usize) -> f64) -> Interactions {
        let mut seen = Seen::new(n_players);
        let n_possible = seen.n_possible();
        let pairs: Vec<Pair> = (0..n_pairs).map(|step| step * 37 % n_possible).collect();
        let rows = pairs.iter().flat_map(|pair| members(n_players, *pair)).map(|coalition| {
            let bit = |(player, is_in): (usize, &bool)| usize::from(*is_in) << player;
            vec![game(coalition.iter().enumerate().map(bit).sum())]
        });
        let rows: Vec<Vec<f64>> = rows.collect();
        seen.add(&pairs, &rows);
        Interactions::of(&seen)
    }

    /// The definition, coalition by coalition.
    fn by_definition(n_players: usize, game: impl Fn(usize) -> f64) -> Vec<f64> {
        let index = |(one, other): (usize, usize)| {
            let (one, other) = (1 << one, 1 << other);
            let others = (0..1_usize << n_players).filter(|of| of & (one | other) == 0);
            let gain =
                |of: usize| game(of | one | other) - game(of | one) - game(of | other) + game(of);
            // `s! (n - s - 2)! / (n - 1)!`.
            let share = |of: usize| weight(n_players - 1, of.count_ones() as usize);
            others.map(|of| share(of) * gain(of)).sum()
        };
        twos(n_players).map(index).collect()
    }

    fn assert_near(found: &[f64], expected: &[f64], tolerance: f64) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < tolerance, "{found} is not {expected}");
        }
    }

    #[test]
    fn gloves_interact_with_what_they_fit() {
        // A left glove and two right ones: rights replace each other.
        let game = |present: usize| f64::from(present & 1 == 1 && present & 6 != 0);
        let found = told(3, 4, game);
        assert_eq!(found.source, InteractionSource::Exact);
        assert_near(&found.values[0], &[0.5, 0.5, -0.5], 1e-12);
        let alone = told(1, 1, |present| present as f64);
        assert_eq!((alone.source, alone.values), (InteractionSource::Exact, vec![Vec::new()]));
    }

    #[test]
    fn players_of_an_additive_game_do_not_interact() {
        let game =
            |present: usize| (0..9_usize).map(|of| (present >> of & 1) as f64 * of as f64).sum();
        for (n_pairs, source) in
            [(256, InteractionSource::Exact), (120, InteractionSource::Regression)]
        {
            let found = told(9, n_pairs, game);
            assert_eq!((found.source, found.untold), (source, vec![0.0]));
            assert_near(&found.values[0], &[0.0; 36], 1e-7);
        }
    }

    /// A game of single players, of pairs and of one quadruple.
    fn curved(present: usize, of_four: f64) -> f64 {
        let is_in = |player: usize| (present >> player & 1) as f64;
        let pairs: f64 = twos(9).map(|(a, b)| is_in(a) * is_in(b) * (a as f64 - b as f64)).sum();
        pairs + is_in(3) - 2.0 * is_in(8) + of_four * is_in(0) * is_in(2) * is_in(5) * is_in(8)
    }

    #[test]
    fn pairs_are_told_exactly_from_a_part_of_the_coalitions_and_more_is_said_to_be_missed() {
        let found = told(9, 111, |present| curved(present, 0.0));
        assert_eq!(found.source, InteractionSource::Regression);
        let expected: Vec<f64> = twos(9).map(|(a, b)| a as f64 - b as f64).collect();
        assert_near(&found.values[0], &expected, 1e-6);
        assert!(found.untold[0] < 1e-9, "{:?}", found.untold);
        let game = |present: usize| curved(present, 20.0);
        let missed = told(9, 128, game);
        assert!((0.001..0.5).contains(&missed.untold[0]), "{:?}", missed.untold);
        let expected = by_definition(9, game);
        assert_near(&missed.values[0], &expected, 1.5);
        assert!(missed.standard_errors[0].iter().all(|error| *error > 0.01));
        let all = told(9, 256, game);
        assert_near(&all.values[0], &expected, 1e-9);
        assert_eq!(all.standard_errors, [[0.0; 36]]);
    }

    #[test]
    fn products_of_three_are_told_without_error() {
        // Their even part has terms of two players alone.
        let game = |present: usize| f64::from(present & 0b111 == 0b111);
        let found = told(9, 111, game);
        assert_eq!(found.source, InteractionSource::Regression);
        assert_near(&found.values[0], &by_definition(9, game), 1e-6);
        assert_near(&found.standard_errors[0], &[0.0; 36], 1e-6);
    }

    /// Terms of two players, and noise of all orders, a coalition a bit a present player.
    fn noisy(n_players: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
        let two = |(one, other)| (1_usize << one | 1_usize << other, rng.random_range(-1.0..1.0));
        let twos: Vec<(usize, f64)> = twos(n_players).map(two).collect();
        let game = |present: usize| {
            let both = twos.iter().filter(|(two, _)| present & two == *two);
            rng.random_range(-0.5..0.5) + both.map(|(_, size)| size).sum::<f64>()
        };
        (0..1 << n_players).map(game).collect()
    }

    /// How often 95 % intervals hold exact indices, over games.
    fn share_held(method: Method, n_players: usize, n_evaluations: usize) -> f64 {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let (mut n_held, mut n) = (0_u32, 0_u32);
        for seed in 0..10 {
            let game = noisy(n_players, &mut rng);
            let value = |coalition: &Vec<bool>| {
                let bits =
                    coalition.iter().rev().fold(0, |all, is_in| all << 1 | usize::from(*is_in));
                vec![game[bits]]
            };
            let outputs = |coalitions: &[Vec<bool>]| {
                Ok::<_, std::convert::Infallible>(coalitions.iter().map(value).collect())
            };
            let limits = Limits::evaluations(n_evaluations, seed);
            let found = estimate(method, n_players, &limits, outputs, |_| {}).expect("a game");
            let Interactions { source, values, standard_errors, .. } = found.interactions;
            assert_eq!(source, InteractionSource::Regression);
            let exact = by_definition(n_players, |present| game[present]);
            let told = values[0].iter().zip(&standard_errors[0]).zip(&exact);
            for ((value, error), exact) in told {
                n_held += u32::from((value - exact).abs() <= 1.96 * error);
                n += 1;
            }
        }
        f64::from(n_held) / f64::from(n)
    }

    #[test]
    fn intervals_hold_the_exact_index_about_as_often_as_they_say() {
        for method in [Method::Leverage, Method::Gaussian] {
            // Shares of all coalitions, from few more than are needed to nearly all.
            for (n_players, n_evaluations) in [(8, 180), (8, 250), (9, 260)] {
                let share = share_held(method, n_players, n_evaluations);
                let held = format!("{method}, {n_players} players, {n_evaluations}: {share}");
                assert!((0.9..=0.99).contains(&share), "{held}");
            }
        }
    }

    #[test]
    fn few_coalitions_tell_no_interaction() {
        // 36 pairs of players and a constant are 37 unknowns: 111 pairs at least.
        let absent = told(9, 110, |present| curved(present, 0.0));
        assert_eq!(absent, Interactions::absent(InteractionSource::TooFew));
        assert_ne!(told(9, 111, |present| curved(present, 0.0)).source, InteractionSource::TooFew);
    }

    #[test]
    fn what_is_untold_is_not_judged_by_the_pairs_that_were_fitted() {
        // Noise: no term of two players tells anything of a pair that was not seen.
        let noise = |present: usize| {
            let mixed = (present * 2_654_435_761) >> 7;
            f64::from(u8::from(mixed.count_ones().is_multiple_of(2)))
        };
        let found = told(9, 111, noise);
        assert!(found.untold[0] > 0.9, "{:?}", found.untold);
    }

    proptest! {
        /// The definition, and players that change places take their interactions with them.
        #[test]
        fn all_coalitions_give_the_definition(table in prop::collection::vec(-1e3..1e3_f64, 32)) {
            let game = |present: usize| table[present];
            let found = told(5, 16, game);
            let expected = by_definition(5, game);
            for (found, expected) in found.values[0].iter().zip(&expected) {
                prop_assert!((found - expected).abs() < 1e-9);
            }
            // Players 0 and 1 change places.
            let swapped = |of: usize| of & !3 | (of & 1) << 1 | (of >> 1 & 1);
            let other = told(5, 16, |present| game(swapped(present)));
            let index = |found: &Interactions, two: (usize, usize)| {
                let place = twos(5).position(|of| of == two).expect("two players");
                found.values[0][place]
            };
            prop_assert!((index(&found, (0, 1)) - index(&other, (0, 1))).abs() < 1e-9);
            prop_assert!((index(&found, (0, 3)) - index(&other, (1, 3))).abs() < 1e-9);
        }
    }
}
