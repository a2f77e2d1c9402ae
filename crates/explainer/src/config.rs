//! What a run explains, against which background, at what effort.

use lifecycle::Invalid;
use serde::{Deserialize, Serialize};

use crate::background::Likeness;
use crate::counterfactual::Bounds;
use crate::estimator::Method;
use crate::players::Family;

/// What is explained, against which background.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Series explained: those with the most units in the last 13 weeks.
    pub n_series: usize,
    /// Background series that stand in for absent players, medoids of those like the product;
    /// outputs are averaged over them by their weights.
    pub n_background: usize,
    /// What those are like the product in: `category`, or `stage` and category.
    pub background: Likeness,
    /// Whether background series count by how alike they are to what is kept, instead of by their
    /// weights alone. Credit then goes to what comes together with what moves the forecast, too.
    pub conditional: bool,
    /// Families whose pieces are players of their own.
    pub split: Vec<Family>,
    /// A family to look into by Owen values, over all other families whole, in place of `split`.
    pub drill_down: Option<Family>,
    /// How values are estimated; none: by the number of players and the budget.
    pub method: Option<Method>,
    /// Relative error that is good enough: the length of the vector of 95 % half-widths over that
    /// of the values, for each output.
    pub tolerance: f64,
    /// Model evaluations to spend at most on one series; none: all coalitions of up to 10 players,
    /// else 512 coalitions. Choosing a background by stage and importance over origins are beside it.
    pub evaluations_max: Option<usize>,
    /// Origins, 13 weeks apart up to that of the forecasts, as of which the importance of whole families
    /// is told; 0: none.
    pub n_origins: usize,
    /// Seed of the choice of backgrounds and coalitions.
    pub seed: u64,
    /// Bounds of counterfactuals, and whether they are looked for.
    pub counterfactuals: Bounds,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            n_series: 24,
            n_background: 8,
            background: Likeness::Category,
            conditional: false,
            split: vec![Family::Sales],
            drill_down: None,
            method: None,
            tolerance: 0.05,
            evaluations_max: None,
            n_origins: 4,
            seed: 1,
            counterfactuals: Bounds::default(),
        }
    }
}

impl Config {
    /// Checks ranges; names the key that is out of range.
    pub fn validate(&self) -> Result<(), Invalid> {
        let within = |key: &str, value: usize, least: usize, most: usize| {
            let is_within = (least..=most).contains(&value);
            let reason = format!("{value} must be between {least} and {most}");
            if is_within { Ok(()) } else { Err(Invalid::new(key, reason)) }
        };
        within("n_series", self.n_series, 1, 10_000)?;
        within("n_background", self.n_background, 1, 32)?;
        within("n_origins", self.n_origins, 0, 52)?;
        if !(0.0..=1.0).contains(&self.tolerance) {
            let reason = format!("{} must be between 0 and 1", self.tolerance);
            return Err(Invalid::new("tolerance", reason));
        }
        if self.evaluations_max == Some(0) {
            return Err(Invalid::new("evaluations_max", "0 must be at least 1"));
        }
        self.counterfactuals.validate().map_err(|Invalid { field, reason }| Invalid {
            field: format!("counterfactuals.{field}"),
            reason,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_evaluation_is_no_budget() {
        let allowed = |evaluations_max| Config { evaluations_max, ..Config::default() }.validate();
        assert_eq!((allowed(None), allowed(Some(1))), (Ok(()), Ok(())));
        assert_eq!(allowed(Some(0)).expect_err("nothing to spend").field, "evaluations_max");
    }

    #[test]
    fn a_wrong_bound_is_named_by_its_section() {
        let counterfactuals = Bounds { price: [1.3, 0.7], ..Bounds::default() };
        let refused = Config { counterfactuals, ..Config::default() }.validate();
        assert_eq!(refused.expect_err("descending").field, "counterfactuals.price");
    }
}
