//! The cooperative game of one history: coalitions of players in, outputs of the model out.

use panel::History;
use rayon::prelude::*;

use crate::background::Background;
use crate::coalition::Coalition;
use crate::error::Error;
use crate::explained::Explained;
use crate::players::{Cut, Player, Swap};

/// Histories that are made and answered at once: a model's batch is far smaller.
const HISTORIES_MAX: usize = 512;

/// One history, its players, and what stands in for those that are absent.
#[derive(Debug)]
pub struct Game<'a> {
    explained: &'a dyn Explained,
    cut: Cut,
    players: Vec<Player>,
    /// One a background series.
    swaps: Vec<Swap<'a>>,
    weights: &'a [f64],
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
        let (swaps, weights) = (swaps.collect(), &background.weights[..]);
        Self { explained, cut, players, swaps, weights }
    }

    /// Its players.
    pub fn players(&self) -> &[Player] {
        &self.players
    }

    /// Outputs of each coalition, a weighted mean over the background. Shape
    /// `[n_coalitions, n_outputs]`.
    pub fn outputs(&self, coalitions: &[Coalition]) -> Result<Vec<Vec<f64>>, Error> {
        let mean = |rows: &[Vec<f64>]| {
            let weighted =
                |output: usize| rows.iter().zip(self.weights).map(|(row, w)| w * row[output]).sum();
            (0..rows[0].len()).map(weighted).collect()
        };
        let mut means = Vec::with_capacity(coalitions.len());
        for coalitions in coalitions.chunks(self.n_at_once()) {
            let altered = coalitions.par_iter().flat_map_iter(|coalition| {
                self.swaps.iter().map(move |swap| swap.altered(&self.players, coalition))
            });
            let altered: Vec<History> = altered.collect();
            let outputs = self.explained.outputs(&altered, self.cut.origin)?;
            means.extend(outputs.chunks(self.swaps.len()).map(mean));
        }
        Ok(means)
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
