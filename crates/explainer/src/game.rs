//! The cooperative game of one history: coalitions of players in, outputs of the model out.
//!
//! What a coalition lacks comes from the background, and outputs are averaged over it: by its weights
//! whatever is kept (the interventional expectation of Lundberg & Lee 2017, Janzing et al. 2020), or, on
//! request, by these times how alike each row is to the history in what the coalition keeps (an empirical
//! conditional expectation, Aas, Jullum & Løland 2021). Nobody's output is the same by both, and
//! everybody's is the model's answer.

use std::borrow::Cow;

use panel::History;
use rayon::prelude::*;

use crate::background::Background;
use crate::coalition::Coalition;
use crate::error::Error;
use crate::explained::Explained;
use crate::players::{Cut, Player, Swap};

/// Histories that are made and answered at once: a model's batch is far smaller.
const HISTORIES_MAX: usize = 512;

/// Rows that have nothing in common with what is kept are taken to have so much, so that none are left out
/// of all.
const LIKENESS_MIN: f64 = 0.01;

/// One history, its players, and what stands in for those that are absent.
#[derive(Debug)]
pub struct Game<'a> {
    explained: &'a dyn Explained,
    cut: Cut,
    players: Vec<Player>,
    /// One a background series.
    swaps: Vec<Swap<'a>>,
    weights: &'a [f64],
    /// How alike each background series is in what each player owns; none where that does not matter.
    /// Shape `[n_players, n_background]`.
    likeness: Option<Vec<Vec<f64>>>,
}

impl<'a> Game<'a> {
    /// The game of these players, up to an origin.
    pub fn new(
        explained: &'a dyn Explained,
        history: &'a History,
        background: &'a Background,
        (players, cut): (Vec<Player>, Cut),
    ) -> Self {
        let swaps = background.histories.iter().map(|other| Swap::new(history, other, cut));
        let swaps: Vec<Swap<'_>> = swaps.collect();
        let of_player = |player: &Player| {
            swaps.iter().map(|swap| swap.likeness(player).max(LIKENESS_MIN)).collect()
        };
        let likeness = background.is_conditional.then(|| players.iter().map(of_player).collect());
        Self { explained, cut, players, swaps, weights: &background.weights, likeness }
    }

    /// Its players.
    pub fn players(&self) -> &[Player] {
        &self.players
    }

    /// Outputs of each coalition, a weighted mean over the background. Shape
    /// `[n_coalitions, n_outputs]`.
    pub fn outputs(&self, coalitions: &[Coalition]) -> Result<Vec<Vec<f64>>, Error> {
        let mean = |(coalition, rows): (&Coalition, &[Vec<f64>])| {
            let weights = self.weights_of(coalition);
            let weighted =
                |output: usize| rows.iter().zip(&*weights).map(|(row, w)| w * row[output]).sum();
            (0..rows[0].len()).map(weighted).collect()
        };
        let mut means = Vec::with_capacity(coalitions.len());
        for coalitions in coalitions.chunks(self.n_at_once()) {
            let altered = coalitions.par_iter().flat_map_iter(|coalition| {
                self.swaps.iter().map(move |swap| swap.altered(&self.players, coalition))
            });
            let altered: Vec<History> = altered.collect();
            let outputs = self.explained.outputs(&altered, self.cut.origin)?;
            means.extend(coalitions.iter().zip(outputs.chunks(self.swaps.len())).map(mean));
        }
        Ok(means)
    }

    /// How much each background series counts where these players are kept; sums to 1.
    fn weights_of(&self, coalition: &Coalition) -> Cow<'_, [f64]> {
        let Some(likeness) = &self.likeness else { return Cow::Borrowed(self.weights) };
        let mut weights = self.weights.to_vec();
        let kept = likeness.iter().zip(coalition).filter(|(_, is_present)| **is_present);
        for (likeness, _) in kept {
            weights.iter_mut().zip(likeness).for_each(|(weight, alike)| *weight *= alike);
        }
        let sum: f64 = weights.iter().sum();
        Cow::Owned(weights.into_iter().map(|weight| weight / sum).collect())
    }

    /// Coalitions that are evaluated at once.
    pub(crate) fn n_at_once(&self) -> usize {
        (HISTORIES_MAX / self.swaps.len()).max(1)
    }

    /// How many players each family has, in the order of the players.
    pub(crate) fn sizes(&self) -> Vec<usize> {
        let families = self.players.chunk_by(|a, b| a.family() == b.family());
        families.map(<[Player]>::len).collect()
    }
}
