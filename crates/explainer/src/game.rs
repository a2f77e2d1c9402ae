//! The cooperative game of one history: coalitions of players in, outputs of the model out.

use panel::History;

use crate::background::Background;
use crate::coalition::Coalition;
use crate::error::Error;
use crate::explained::Explained;
use crate::players::{Cut, Player, altered};

/// One history, its players, and what stands in for those that are absent.
pub(crate) struct Game<'a> {
    pub(crate) explained: &'a dyn Explained,
    pub(crate) history: &'a History,
    pub(crate) background: &'a Background<'a>,
    pub(crate) players: Vec<Player>,
    pub(crate) cut: Cut,
}

impl Game<'_> {
    /// Outputs of each coalition, a weighted mean over the background. Shape
    /// `[n_coalitions, n_outputs]`.
    pub(crate) fn outputs(&self, coalitions: &[Coalition]) -> Result<Vec<Vec<f64>>, Error> {
        let Background { histories, weights } = self.background;
        let of_coalition = |coalition: &Coalition| {
            let altered = histories
                .iter()
                .map(|other| altered(self.history, other, &self.players, coalition, self.cut));
            altered.collect::<Vec<History>>()
        };
        let all: Vec<History> = coalitions.iter().flat_map(of_coalition).collect();
        let outputs = self.explained.outputs(&all, self.cut.origin)?;
        let mean = |rows: &[Vec<f64>]| {
            let weighted =
                |output: usize| rows.iter().zip(weights).map(|(row, w)| w * row[output]).sum();
            (0..rows[0].len()).map(weighted).collect()
        };
        Ok(outputs.chunks(histories.len()).map(mean).collect())
    }

    /// How many players each family has, in the order of the players.
    pub(crate) fn sizes(&self) -> Vec<usize> {
        let families = self.players.chunk_by(|a, b| a.family() == b.family());
        families.map(<[Player]>::len).collect()
    }
}
