//! The stage that a row is scored against: the settled label, or the simulator's truth.

use std::collections::BTreeMap;

use lifecycle::{Frequency, Period, ProductId, Stage};
use tables::{Label, Truth};

/// A label's mass that must lie on scored stages for its row to be scored.
const SCORED_MASS_MIN: f64 = 0.5;

/// What a stage forecast is scored against.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct StageTarget {
    /// Probability of each stage; one-hot where the truth is known.
    pub(crate) label: [f64; 5],
    /// The likeliest stage, the earlier one of two.
    pub(crate) class: u8,
}

impl StageTarget {
    /// Keeps the stages that are scored and divides by their sum; `None` where too little is left.
    fn new(mut label: [f64; 5], scored: [bool; 5]) -> Option<Self> {
        let before: f64 = label.iter().sum();
        for (mass, scored) in label.iter_mut().zip(scored) {
            *mass = if scored { *mass } else { 0.0 };
        }
        let total: f64 = label.iter().sum();
        if total.is_nan() || total <= SCORED_MASS_MIN * before {
            return None;
        }
        let label = label.map(|mass| mass / total);
        let mut class = 0;
        for (stage, mass) in label.iter().enumerate() {
            if *mass > label[class] {
                class = stage;
            }
        }
        Some(Self { label, class: class as u8 })
    }
}

/// Labels of the whole calendar and, from the simulator, the truth.
#[derive(Debug, Default)]
pub(crate) struct StageTargets {
    labels: BTreeMap<ProductId, Label>,
    truth: Option<BTreeMap<ProductId, Truth>>,
}

impl StageTargets {
    /// Targets by product.
    pub(crate) fn new(labels: Vec<Label>, truth: Option<Vec<Truth>>) -> Self {
        let by_product = |row: Truth| (row.product.clone(), row);
        Self {
            labels: labels.into_iter().map(|row| (row.product.clone(), row)).collect(),
            truth: truth.map(|rows| rows.into_iter().map(by_product).collect()),
        }
    }

    /// Whether rows are scored against the truth.
    pub(crate) fn are_true(&self) -> bool {
        self.truth.is_some()
    }

    /// The target in a period; `is_now`: *ended* is no answer.
    pub(crate) fn at(
        &self,
        product: &ProductId,
        frequency: Frequency,
        period: Period,
        is_now: bool,
    ) -> Option<StageTarget> {
        if self.truth.is_some() {
            self.true_stage(product, frequency, period, is_now)
        } else {
            self.label(product, period, is_now)
        }
    }

    /// The settled label in a period. Lives that ran before the data began say nothing of
    /// introduction and growth.
    pub(crate) fn label(
        &self,
        product: &ProductId,
        period: Period,
        is_now: bool,
    ) -> Option<StageTarget> {
        let label = self.labels.get(product)?;
        let (stages, _) = label.at(period)?;
        let is_late = !label.is_left_censored;
        let scored = [is_late, is_late, true, true, !is_now];
        StageTarget::new(stages.as_array().map(f64::from), scored)
    }

    fn true_stage(
        &self,
        product: &ProductId,
        frequency: Frequency,
        period: Period,
        is_now: bool,
    ) -> Option<StageTarget> {
        let truth = self.truth.as_ref()?.get(product)?;
        let days = frequency.last_day(period).0 - truth.day.0;
        let stage = *truth.stages.get(usize::try_from(days).ok()? / 7)?;
        let stage = *Stage::ALL.get(usize::try_from(stage).ok()?)?;
        let mut label = [0.0; 5];
        label[stage.index()] = 1.0;
        StageTarget::new(label, [true, true, true, true, !is_now])
    }
}

#[cfg(test)]
mod tests {
    use lifecycle::Day;

    use super::*;

    fn labels(stages: [f32; 5], is_left_censored: bool) -> StageTargets {
        let label = Label {
            product: "mug".into(),
            start: Period(100),
            stages: [stages, stages].concat(),
            weights: vec![1.0, 0.0],
            is_left_censored,
        };
        StageTargets::new(vec![label], None)
    }

    fn at(targets: &StageTargets, period: i32, is_now: bool) -> Option<StageTarget> {
        targets.at(&"mug".into(), Frequency::Week, Period(period), is_now)
    }

    #[test]
    fn unsettled_labels_are_no_targets() {
        let targets = labels([0.0, 0.3, 0.7, 0.0, 0.0], false);
        let target = at(&targets, 100, true).expect("settled");
        assert_eq!(target.class, 2);
        assert_eq!(at(&targets, 101, true), None);
        assert_eq!(at(&targets, 99, true), None);
    }

    #[test]
    fn lives_from_before_the_data_are_not_scored_on_their_start() {
        assert_eq!(at(&labels([0.6, 0.2, 0.2, 0.0, 0.0], true), 100, true), None);
        let late = at(&labels([0.1, 0.1, 0.6, 0.2, 0.0], true), 100, true).expect("maturity");
        assert!((late.label[2] - 0.75).abs() < 1e-6 && late.label[0] == 0.0);
    }

    #[test]
    fn ended_is_a_stage_at_horizons_only() {
        let targets = labels([0.0, 0.0, 0.0, 0.2, 0.8], false);
        assert_eq!(at(&targets, 100, true), None);
        assert_eq!(at(&targets, 100, false).map(|target| target.class), Some(4));
    }

    #[test]
    fn the_truth_counts_in_weeks_of_the_simulator() {
        let truth = Truth {
            product: "mug".into(),
            day: Frequency::Week.first_day(Period(100)),
            demand: Vec::new(),
            stages: vec![0, 1, 2, 4],
            elasticity: -1.0,
            family: String::new(),
            contributions: Vec::new(),
        };
        let targets = StageTargets::new(Vec::new(), Some(vec![truth]));
        assert!(targets.are_true());
        let class = |period, is_now| at(&targets, period, is_now).map(|target| target.class);
        assert_eq!(
            [99, 100, 102, 103, 104].map(|period| class(period, false)),
            [None, Some(0), Some(2), Some(4), None]
        );
        assert_eq!(class(103, true), None);
        let day = Frequency::Day.period_of(Day(Frequency::Week.first_day(Period(101)).0 + 3));
        let daily = targets.at(&"mug".into(), Frequency::Day, day, false);
        assert_eq!(daily.map(|target| target.class), Some(1));
    }
}
