//! How products with hardly any history are answered: ours beside two rules of thumb from launches of
//! like products, and whether it says that it has little to go by.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::bands::Subset;
use crate::calibration::{BandCoverage, coverage};
use crate::forecasters::{Ground, Judged};
use crate::results::Comparison;

/// Test rows of cold starts ([`panel::Window::cold_start`]).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ColdStart {
    /// Rows with units to score.
    pub rows: u64,
    /// Products of these.
    pub products: u64,
    /// Rows of which ours says that they are cold starts.
    pub flagged: u64,
    /// Launches of training products that the rules of thumb go by.
    pub launches: u64,
    /// Scores and differences; where there are too few rows these are not identifiable.
    pub comparison: Comparison,
    /// Whether quantiles cover as counts can, by forecaster.
    pub coverage: Vec<ColdCoverage>,
}

/// The coverage of one forecaster's quantiles at cold starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ColdCoverage {
    /// The forecaster.
    pub model: String,
    /// By level, with the tolerance of a band.
    #[serde(flatten)]
    pub levels: BandCoverage,
}

impl ColdStart {
    pub(crate) fn new(
        ground: &Ground<'_>,
        (judged, ours): (&[Judged], usize),
        comparison: Comparison,
    ) -> Self {
        let is_scored = |row: &usize| {
            let row = &ground.rows[*row];
            row.basis.cold_start && row.units.iter().any(|units| units.is_finite())
        };
        let rows: Vec<usize> = (0..ground.rows.len()).filter(is_scored).collect();
        let products: BTreeSet<usize> = rows.iter().map(|row| ground.rows[*row].product).collect();
        let flagged = rows.iter().filter(|row| judged[ours].losses[**row].is_flagged).count();
        let of_model = |judged: &Judged| {
            let losses = rows.iter().filter_map(|row| judged.losses[*row].units.as_ref());
            let levels = coverage(Subset::ColdStart.name(), losses, false)?;
            Some(ColdCoverage { model: judged.name.clone(), levels })
        };
        Self {
            rows: rows.len() as u64,
            products: products.len() as u64,
            flagged: flagged as u64,
            launches: ground.learnt.analogues.n_launches() as u64,
            comparison,
            coverage: judged.iter().filter_map(of_model).collect(),
        }
    }
}
