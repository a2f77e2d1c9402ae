//! What features are made of.

use lifecycle::{Frequency, Invalid, Period, Split};
use panel::Settings;
use serde::{Deserialize, Serialize};
use tables::Dataset;

use crate::binned::Halves;

/// What `features` computes; whatever is left out follows the data set's frequency.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Horizon of the sales forecasts in periods; else the data set's own, else 13 weeks, 12 months
    /// or 28 days.
    pub horizon: Option<usize>,
    /// Periods up to the origin that a model sees; else 104 days or weeks, or 36 months.
    pub context: Option<usize>,
    /// Periods before the first test origin, that origin included; else by the protocol.
    pub cut: Option<usize>,
    /// Everything up to the last period is known and no product is unseen: features for forecasts
    /// of the future alone, which nothing scores. However short, a history will do.
    pub whole: bool,
    /// Periods between test origins; else 3 weeks, 1 month or 7 days.
    pub step: Option<usize>,
    /// Levels of the category path that make the category of shares; else the data set's own.
    pub share_depth: Option<usize>,
    /// Series in one shard of the panel.
    pub shard_series: usize,
    /// How much the likelihood of a life counts in its label, above 0, at most 1; else what lets
    /// labels from one half of the buyers best tell those from the other, on training data, and
    /// 0.25 where sales cannot be cut in halves.
    pub label_lambda: Option<f64>,
    /// Inputs and units come from one half of the buyers, labels from the other: how well stages
    /// are told from what the label has not seen. For evaluation only.
    pub cross_half: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            horizon: None,
            context: None,
            cut: None,
            whole: false,
            step: None,
            share_depth: None,
            shard_series: 2048,
            label_lambda: None,
            cross_half: false,
        }
    }
}

impl Config {
    /// Checks what can be checked without data.
    pub fn validate(&self) -> Result<(), Invalid> {
        let at_least_one = [
            ("horizon", self.horizon),
            ("context", self.context),
            ("cut", self.cut),
            ("step", self.step),
            ("shard_series", Some(self.shard_series)),
        ];
        if let Some((field, _)) = at_least_one.iter().find(|(_, value)| *value == Some(0)) {
            return Err(Invalid::new(*field, "must be at least 1"));
        }
        if self.whole && self.cut.is_some() {
            return Err(Invalid::new("cut", "must be left out where `whole` is true"));
        }
        if self.whole && self.cross_half {
            return Err(Invalid::new("cross_half", "must be left out where `whole` is true"));
        }
        if self.label_lambda.is_some_and(|lambda| !(lambda > 0.0 && lambda <= 1.0)) {
            return Err(Invalid::new("label_lambda", "must be above 0 and at most 1"));
        }
        Ok(())
    }

    /// What is wanted of the halves of a data set's buyers; an error where there are none.
    pub(crate) fn halves(&self, dataset: &Dataset) -> Result<Halves, Invalid> {
        match dataset.thinned_by {
            None if self.cross_half => {
                let reason = "sales of this data set cannot be cut in halves: map `customer`, or \
                              at least `order`, under `columns` of [[transactions]]";
                Err(Invalid::new("cross_half", reason))
            }
            Some(_) if self.cross_half => Ok(Halves::InPlace),
            Some(_) if !self.whole => Ok(Halves::Sampled),
            _ => Ok(Halves::None),
        }
    }

    pub(crate) fn settings(&self, dataset: &Dataset) -> Settings {
        let usual = Settings::default_for(dataset.frequency);
        Settings {
            context: self.context.unwrap_or(usual.context),
            horizon: self.horizon.or(dataset.horizon).unwrap_or(usual.horizon),
        }
    }

    /// The split of the protocol with what the configuration sets in its place.
    pub(crate) fn split(
        &self,
        frequency: Frequency,
        (start, n_periods): (Period, usize),
        horizon: usize,
    ) -> Result<Split, Invalid> {
        let step = self.step.unwrap_or_else(|| frequency.origin_step());
        if self.whole {
            return Ok(Split { frequency, start, n_periods, horizon, cut: n_periods, step });
        }
        let Some(cut) = self.cut else {
            let split = Split::new(frequency, start, n_periods, horizon)?;
            return Ok(Split { step, ..split });
        };
        if cut >= n_periods {
            return Err(Invalid::new(
                "cut",
                format!("{cut} leaves no test period of the panel's {n_periods}"),
            ));
        }
        Ok(Split { frequency, start, n_periods, horizon, cut, step })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_checked_and_names_its_field() {
        assert_eq!(Config::default().validate(), Ok(()));
        let wrong = Config { label_lambda: Some(f64::NAN), ..Config::default() };
        assert_eq!(wrong.validate().expect_err("wrong").field, "label_lambda");
        let wrong = Config { whole: true, cross_half: true, ..Config::default() };
        assert_eq!(wrong.validate().expect_err("wrong").field, "cross_half");
        let wrong = Config { step: Some(0), ..Config::default() };
        assert_eq!(wrong.validate().expect_err("wrong").field, "step");
        assert!(toml::from_str::<Config>("horizont = 3").is_err());
    }

    #[test]
    fn the_configuration_may_cut_where_the_protocol_cannot() {
        let split = |cut| {
            let config = Config { cut, step: Some(2), ..Config::default() };
            config.split(Frequency::Week, (Period(2400), 53), 13)
        };
        assert!(split(None).is_err());
        let given = split(Some(30)).expect("a split");
        assert_eq!((given.cut, given.step), (30, 2));
        assert!(split(Some(53)).is_err());
        let whole = Config { whole: true, ..Config::default() };
        let split = whole.split(Frequency::Week, (Period(2400), 5), 13).expect("a split");
        assert_eq!(split.last_training_period(), Period(2404));
        assert_eq!(Config { cut: Some(3), ..whole }.validate().expect_err("both").field, "cut");
    }
}
