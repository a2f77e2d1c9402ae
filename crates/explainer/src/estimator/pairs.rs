//! The odd part of a game, from pairs of a coalition and its complement.
//!
//! Shapley values depend on a game `v` only through its odd part `o(S) = (v(S) - v(S'))/2`, where
//! `S'` has exactly the players that `S` lacks (Fumagalli, Butler, Kang, Ramchandran & Witter 2026,
//! arXiv 2602.01399). So every estimator here asks for pairs and sees nothing but odd parts; the even
//! ones tell of interactions (`interactions.rs`).
//!
//! Written in signs, absent players being -1, the odd part is a sum of *terms*: products of the
//! signs of an odd number of players. A player's value is `2 / |term|` times the coefficient,
//! summed over the terms that it is in.
//!
//! A pair is named by the players that are absent from the member that the last player is in, a
//! bit a player: a number below `2^(n_players - 1)`; 0 is everybody against nobody. There are as
//! many odd terms, and a term is told by its players but the last, who is in it where their number
//! is even. So an odd game of `n` players is any game of `n - 1`, and tables over pairs and over
//! terms are one [`walsh`] transform apart.

use std::collections::BTreeMap;

use lifecycle::Attribution;

use super::walsh;
use crate::coalition::Coalition;

/// Which pair; see the module.
pub(crate) type Pair = usize;

/// Both members of a pair: the one with the last player first.
pub(crate) fn members(n_players: usize, pair: Pair) -> [Coalition; 2] {
    let first: Coalition = (0..n_players).map(|player| pair >> player & 1 == 0).collect();
    let second = first.iter().map(|is_present| !is_present).collect();
    [first, second]
}

/// The pair that a coalition, given by the bits of its absent players, is in; and the sign of its
/// odd part there.
pub(crate) fn pair_of(n_players: usize, absent: usize) -> (Pair, f64) {
    let all = (1 << n_players) - 1;
    if absent >> (n_players - 1) == 0 { (absent, 1.0) } else { (all ^ absent, -1.0) }
}

/// The players of a term, a bit a player; see the module.
pub(crate) fn players_of_term(n_players: usize, term: usize) -> usize {
    if term.count_ones() % 2 == 1 { term } else { term | 1 << (n_players - 1) }
}

/// What a player is credited with for each unit of a term's coefficient.
pub(crate) fn share(n_players: usize, term: usize, player: usize) -> f64 {
    let players = players_of_term(n_players, term);
    if players >> player & 1 == 1 { 2.0 / f64::from(players.count_ones()) } else { 0.0 }
}

/// Shapley values of a game with these coefficients of terms. Shapes `[2^(n_players - 1)]` and
/// `[n_players]`.
pub(crate) fn values_of_terms(n_players: usize, coefficients: &[f64]) -> Vec<f64> {
    let mut values = vec![0.0; n_players];
    for (term, coefficient) in coefficients.iter().enumerate() {
        let mut left = players_of_term(n_players, term);
        let each = 2.0 * coefficient / f64::from(left.count_ones());
        while left != 0 {
            values[left.trailing_zeros() as usize] += each;
            left &= left - 1;
        }
    }
    values
}

/// The pairs evaluated so far; the first is everybody against nobody.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    /// How many players there are.
    pub(crate) n_players: usize,
    /// Which pairs, in the order in which they were asked for. Length `n_pairs`.
    pub(crate) pairs: Vec<Pair>,
    /// Their odd parts. Shape `[n_outputs, n_pairs]`.
    pub(crate) odd: Vec<Vec<f64>>,
    /// Their even parts, of which interactions are told. Shape `[n_outputs, n_pairs]`.
    pub(crate) even: Vec<Vec<f64>>,
    /// Outputs with nobody present. Length `n_outputs`.
    pub(crate) base_values: Vec<f64>,
    positions: BTreeMap<Pair, usize>,
}

impl Seen {
    /// Nothing seen.
    pub(crate) fn new(n_players: usize) -> Self {
        let (pairs, odd, even, base_values) = Default::default();
        Self { n_players, pairs, odd, even, base_values, positions: BTreeMap::new() }
    }

    /// Adds pairs with the outputs of their members: two rows a pair.
    pub(crate) fn add(&mut self, pairs: &[Pair], rows: &[Vec<f64>]) {
        assert_eq!(rows.len(), 2 * pairs.len(), "one row a coalition");
        for (pair, rows) in pairs.iter().zip(rows.chunks_exact(2)) {
            if *pair == 0 {
                self.base_values.clone_from(&rows[1]);
            }
            self.odd.resize(rows[0].len(), Vec::new());
            for (output, odd) in self.odd.iter_mut().enumerate() {
                odd.push((rows[0][output] - rows[1][output]) / 2.0);
            }
            self.even.resize(rows[0].len(), Vec::new());
            for (output, even) in self.even.iter_mut().enumerate() {
                even.push(f64::midpoint(rows[0][output], rows[1][output]));
            }
            self.positions.insert(*pair, self.pairs.len());
            self.pairs.push(*pair);
        }
    }

    /// Where a pair stands among those seen.
    pub(crate) fn position(&self, pair: Pair) -> Option<usize> {
        self.positions.get(&pair).copied()
    }

    /// How many pairs there are in all.
    pub(crate) fn n_possible(&self) -> usize {
        1 << (self.n_players - 1)
    }

    /// Whether every pair was seen, so that values are known exactly.
    pub(crate) fn is_complete(&self) -> bool {
        self.pairs.len() == self.n_possible()
    }

    /// What the values of an output sum to: everybody's output less nobody's.
    pub(crate) fn total(&self, output: usize) -> f64 {
        2.0 * self.odd[output][0]
    }

    /// Exact values, from all pairs.
    pub(crate) fn exact(&self) -> Vec<Attribution> {
        assert!(self.is_complete(), "some pairs were not evaluated");
        let attribution = |(output, odd): (usize, &Vec<f64>)| {
            let mut terms = vec![0.0; self.n_possible()];
            for (pair, odd) in self.pairs.iter().zip(odd) {
                terms[*pair] = odd / self.n_possible() as f64;
            }
            walsh::transform(&mut terms);
            let values = values_of_terms(self.n_players, &terms);
            self.attribution(output, values, vec![0.0; self.n_players])
        };
        self.odd.iter().enumerate().map(attribution).collect()
    }

    /// An attribution that adds up: what values miss of their known total is shared equally, which
    /// projects them onto those that are efficient.
    pub(crate) fn attribution(
        &self,
        output: usize,
        mut values: Vec<f64>,
        standard_errors: Vec<f64>,
    ) -> Attribution {
        let missing = self.total(output) - values.iter().sum::<f64>();
        for value in &mut values {
            *value += missing / self.n_players as f64;
        }
        Attribution { base_value: self.base_values[output], values, standard_errors }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_a_coalition_and_its_complement() {
        assert_eq!(members(3, 0b01), [vec![false, true, true], vec![true, false, false]]);
        assert_eq!(pair_of(3, 0b001), (0b001, 1.0));
        assert_eq!(pair_of(3, 0b110), (0b001, -1.0));
    }

    #[test]
    fn terms_have_an_odd_number_of_players() {
        let terms: Vec<usize> = (0..4).map(|term| players_of_term(3, term)).collect();
        assert_eq!(terms, [0b100, 0b001, 0b010, 0b111]);
        assert_eq!(values_of_terms(3, &[1.0, 0.0, 0.0, 3.0]), [2.0, 2.0, 4.0]);
        assert_eq!((share(3, 3, 1), share(3, 0, 1)), (2.0 / 3.0, 0.0));
    }
}
