//! Where the attention of a Transformer goes: attention roll-out (Abnar & Zuidema 2020), by week.
//!
//! It says what turns and stages look at, not what moves them or which way, so it is no attribution and
//! adds up to 1, not to an answer. An LSTM has no attention: it is that of the networks that attend, or
//! else of the built-in model beside them, which shares in these answers.

use lifecycle::{Period, Series};
use model::Model;
use panel::Window;
use serde::{Deserialize, Serialize};

use crate::gradients::short;

/// The roll-out of one product.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RolloutMap {
    /// Whose.
    pub series: Series,
    /// From which origin: the last period of the map.
    pub origin: Period,
    /// Whose attention.
    pub of: String,
    /// Share of each period, oldest first.
    pub context: Vec<f32>,
    /// Share of the derived numbers as a whole.
    pub statics: f32,
    /// Share of what is known of the horizon.
    pub horizon: f32,
}

/// The roll-out for a window; none where nothing attends.
pub(crate) fn rollout_map(model: &Model, window: &Window) -> Option<RolloutMap> {
    let (rollout, of) = model.rollout(window)?;
    Some(RolloutMap {
        series: window.series.clone(),
        origin: window.origin,
        of: of.to_owned(),
        context: rollout.context.into_iter().map(|share| short(f64::from(share))).collect(),
        statics: short(f64::from(rollout.statics)),
        horizon: short(f64::from(rollout.horizon)),
    })
}
