//! LIME (Ribeiro, Singh & Guestrin 2016, "Why should I trust you?") over the players of an
//! explanation: a linear model of what the model answers to coalitions near the whole one.
//!
//! Coalitions are near by the share of players that are absent, through the kernel of LIME's tables:
//! `exp(-absent / (0.75^2 n_players))`. A third of them is held out, and the fidelity is told on that
//! third with the same weights. A weight is how much an output is higher with the player than without,
//! on average over coalitions: weights are no Shapley values and do not add up to the answer.

use std::collections::BTreeSet;

use lifecycle::{Period, Series};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::linear::Linear;
use super::{Fidelity, Kind};
use crate::coalition::{Coalition, all_coalitions};
use crate::error::Error;
use crate::explanation::Question;
use crate::game::Game;
use crate::players::{Player, players_of};

/// Coalitions that are evaluated; all of them where there are no more.
const N_COALITIONS: usize = 96;

/// Draws until that many different ones should be found.
const N_DRAWS_MAX: usize = 50 * N_COALITIONS;

/// Width of the kernel, squared, as a share of the players.
const WIDTH_SQUARED: f64 = 0.75 * 0.75;

/// One of so many coalitions is held out.
const HELD_OUT: usize = 3;

/// The weights of players around one forecast.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lime {
    /// Whose forecast.
    pub series: Series,
    /// From which origin.
    pub origin: Period,
    /// What the numbers are.
    pub kind: Kind,
    /// Names of the players. Length `n_players`.
    pub players: Vec<String>,
    /// Model evaluations spent.
    pub n_evaluations: usize,
    /// One an output.
    pub outputs: Vec<LimeOutput>,
}

/// A linear model of one output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LimeOutput {
    /// Name of the output.
    pub output: String,
    /// What it says of nobody.
    pub intercept: f64,
    /// How much each player adds. Length `n_players`.
    pub weights: Vec<f64>,
    /// How faithful it is near the whole coalition.
    pub fidelity: Fidelity,
}

impl Question<'_> {
    /// LIME weights of the same players against the same background, by the seed.
    pub fn lime(&self) -> Result<Lime, Error> {
        let Self { config, explained, history, ref background, cut } = *self;
        let split = config.drill_down.as_ref().map_or(&config.split[..], std::slice::from_ref);
        let players = players_of(history, split, cut);
        let n_players = players.len();
        let game = Game::new(explained, history, background, (players, cut));
        let coalitions = coalitions(n_players, config.seed);
        let answers = game.outputs(&coalitions)?;
        let names = explained.names();
        Ok(Lime {
            series: history.series.clone(),
            origin: cut.origin,
            kind: Kind::LimeWeights,
            players: game.players().iter().map(Player::name).collect(),
            n_evaluations: coalitions.len() * background.histories.len(),
            outputs: lime_outputs(&names, &coalitions, &answers),
        })
    }
}

/// Different coalitions, the whole one first, the others in random order: as many absent players as
/// any other number of them, and then any of those.
fn coalitions(n_players: usize, seed: u64) -> Vec<Coalition> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut others: Vec<Coalition> = if n_players < 16 && 1 << n_players <= N_COALITIONS {
        let all = all_coalitions(n_players).into_iter();
        all.filter(|coalition| coalition.contains(&false)).collect()
    } else {
        let mut seen: BTreeSet<Coalition> = BTreeSet::new();
        let mut order: Vec<usize> = (0..n_players).collect();
        for _ in 0..N_DRAWS_MAX {
            order.shuffle(&mut rng);
            let mut coalition = vec![true; n_players];
            for player in &order[..rng.random_range(1..=n_players)] {
                coalition[*player] = false;
            }
            seen.insert(coalition);
            if seen.len() == N_COALITIONS - 1 {
                break;
            }
        }
        seen.into_iter().collect()
    };
    others.shuffle(&mut rng);
    others.insert(0, vec![true; n_players]);
    others
}

/// Linear models of outputs, of which `answers` holds one row a coalition.
fn lime_outputs(
    names: &[String],
    coalitions: &[Coalition],
    answers: &[Vec<f64>],
) -> Vec<LimeOutput> {
    let row = |coalition: &Coalition| -> Vec<f64> {
        coalition.iter().map(|is_present| f64::from(u8::from(*is_present))).collect()
    };
    let weight = |row: &Vec<f64>| {
        let n_absent = row.len() as f64 - row.iter().sum::<f64>();
        (-n_absent / (WIDTH_SQUARED * row.len() as f64)).exp()
    };
    // The whole coalition, which is first, is always fitted to.
    let is_held_out = |at: usize| at % HELD_OUT == HELD_OUT - 1;
    let part = |is_wanted: bool| -> (Vec<usize>, Vec<Vec<f64>>, Vec<f64>) {
        let places: Vec<usize> =
            (0..coalitions.len()).filter(|at| is_held_out(*at) == is_wanted).collect();
        let rows: Vec<Vec<f64>> = places.iter().map(|at| row(&coalitions[*at])).collect();
        let weights = rows.iter().map(weight).collect();
        (places, rows, weights)
    };
    let (fitted, rows, weights) = part(false);
    let (held_out, other_rows, other_weights) = part(true);
    let of = |(output, name): (usize, &String)| {
        let targets =
            |places: &[usize]| places.iter().map(|at| answers[*at][output]).collect::<Vec<f64>>();
        let linear = Linear::fit(&rows, &targets(&fitted), &weights);
        let said: Vec<f64> = other_rows.iter().map(|row| linear.said(row)).collect();
        let fidelity = Fidelity::of(&targets(&held_out), &said, &other_weights);
        let Linear { intercept, slopes } = linear;
        LimeOutput { output: name.clone(), intercept, weights: slopes, fidelity }
    };
    names.iter().enumerate().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lime_of(n_players: usize, game: impl Fn(&[f64]) -> f64) -> LimeOutput {
        let coalitions = coalitions(n_players, 3);
        let answer = |coalition: &Coalition| {
            let present: Vec<f64> =
                coalition.iter().map(|is_present| f64::from(u8::from(*is_present))).collect();
            vec![game(&present)]
        };
        let answers: Vec<Vec<f64>> = coalitions.iter().map(answer).collect();
        lime_outputs(&["units".to_owned()], &coalitions, &answers).remove(0)
    }

    #[test]
    fn coalitions_are_different_and_begin_with_everybody() {
        for (n_players, n) in [(2, 4), (6, 64), (7, 96), (12, 96)] {
            let found = coalitions(n_players, 1);
            assert_eq!(found.len(), n, "{n_players} players");
            assert!(found[0].iter().all(|is_present| *is_present));
            assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), n);
        }
        assert_ne!(coalitions(12, 1), coalitions(12, 2));
    }

    #[test]
    fn a_game_without_interactions_is_told_faithfully() {
        let found = lime_of(9, |x| 5.0 + 3.0 * x[0] - 2.0 * x[4]);
        assert!((found.weights[0] - 3.0).abs() < 0.05, "{:?}", found.weights);
        assert!((found.weights[4] + 2.0).abs() < 0.05, "{:?}", found.weights);
        assert!(found.weights[1].abs() < 0.05);
        assert!(found.fidelity.r_squared.is_some_and(|r_squared| r_squared > 0.999));
        assert!(!found.fidelity.is_low);
        assert_eq!(found.fidelity.n_held_out, 32);
    }

    #[test]
    fn a_game_of_nothing_but_interactions_is_flagged() {
        let parity = |x: &[f64]| f64::from(u8::from(x.iter().sum::<f64>() % 2.0 > 0.5));
        assert!(lime_of(9, parity).fidelity.is_low);
        let constant = lime_of(4, |_| 2.0);
        assert_eq!((constant.fidelity.r_squared, constant.fidelity.is_low), (None, true));
        assert!((constant.intercept - 2.0).abs() < 1e-9);
    }
}
