//! What is to become of a product: another likeliest turn, another likeliest stage, more or fewer
//! sales; and what one forecast says of each.
//!
//! Halved and doubled exclude each other, so with *neither* they are three outcomes of which one is
//! the likeliest. Silence is a kind of halving and no outcome of its own.

use lifecycle::{Forecast, OUTLOOK_WEEKS, Stage, StageProbabilities, Turn};
use serde::{Deserialize, Serialize};

use crate::explained::{OUTLOOK, now_name, turn_name, units_name};

/// Stages now: a product that has ended is not forecast.
const N_STAGES_NOW: usize = 4;

/// What is to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Another of halved, doubled and neither is the likeliest by 13 weeks.
    Turn,
    /// Another stage is the likeliest now.
    StageNow,
    /// Another stage is the likeliest in 13 weeks.
    StageAhead,
    /// More units are expected over the horizon.
    MoreSales,
    /// Fewer units are expected over the horizon.
    FewerSales,
}

impl Target {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Turn, Self::StageNow, Self::StageAhead, Self::MoreSales, Self::FewerSales];

    /// Name in tables and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Turn => "another turn by 13 weeks",
            Self::StageNow => "another stage now",
            Self::StageAhead => "another stage in 13 weeks",
            Self::MoreSales => "more sales",
            Self::FewerSales => "fewer sales",
        }
    }

    /// Where the classes of this target stand among a reading's values; `None` of sales.
    fn classes(self, reading: &Reading) -> Option<std::ops::Range<usize>> {
        let group = match self {
            Self::Turn => Group::Turn,
            Self::StageNow => Group::StageNow,
            Self::StageAhead => Group::StageAhead,
            Self::MoreSales | Self::FewerSales => return None,
        };
        let first = reading.groups.iter().position(|of| *of == group)?;
        let n_classes = reading.groups[first..].iter().take_while(|of| **of == group).count();
        Some(first..first + n_classes)
    }

    /// Whether the forecast says anything that could become another.
    pub(super) fn is_asked(self, before: &Reading) -> bool {
        match self {
            Self::MoreSales | Self::FewerSales => before.values[0] > 0.0,
            _ => self.classes(before).is_some(),
        }
    }

    /// What a forecast says of the target beside the one before any change.
    pub(super) fn judged(self, sales_change: f64, before: &Reading, after: &Reading) -> Judged {
        let Some(classes) = self.classes(before) else {
            let change = after.values[0] / before.values[0] - 1.0;
            let rise = if self == Self::MoreSales { change } else { -change };
            return Judged { lead: rise - sales_change, was: 0, becomes: 0 };
        };
        let was = likeliest(before, classes.clone());
        let others = classes.filter(|class| *class != was);
        let becomes = others.fold(None, |best: Option<usize>, class| match best {
            Some(best) if after.values[best] >= after.values[class] => Some(best),
            _ => Some(class),
        });
        let becomes = becomes.unwrap_or(was);
        Judged { lead: after.values[becomes] - after.values[was], was, becomes }
    }
}

/// How near a forecast is to a target.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Judged {
    /// By how much it is met: of probability, or of the units before. Met above 0.
    pub(super) lead: f64,
    /// The likeliest class before; 0 of sales.
    pub(super) was: usize,
    /// The likeliest of the others after; 0 of sales.
    pub(super) becomes: usize,
}

impl Judged {
    pub(super) fn is_met(self) -> bool {
        self.lead > 0.0
    }
}

/// What the values of a reading are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    Sales,
    Turn,
    /// Silence, which is no outcome of its own.
    Silence,
    StageNow,
    StageAhead,
}

/// What one forecast says, as named numbers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reading {
    groups: Vec<Group>,
    /// Names of classes, such as `halved` or `decline`; `units`.
    pub(super) classes: Vec<&'static str>,
    /// Units of the horizon, then probabilities; those that the model does not give are left out.
    pub(super) values: Vec<f64>,
}

impl Reading {
    pub(super) fn of(forecast: &Forecast) -> Self {
        let means = forecast.units.iter().flat_map(|units| &units.means);
        let units = means.map(|mean| f64::from(*mean)).sum();
        let mut reading =
            Self { groups: vec![Group::Sales], classes: vec!["units"], values: vec![units] };
        let outlook = forecast.outlooks[OUTLOOK];
        if let Some(turns) = outlook.turns {
            let of = |turn: Turn| f64::from(turns[turn.index()]);
            let neither = 1.0 - of(Turn::Halved) - of(Turn::Doubled);
            reading.add(Group::Turn, Turn::Halved.name(), of(Turn::Halved));
            reading.add(Group::Turn, Turn::Doubled.name(), of(Turn::Doubled));
            reading.add(Group::Turn, "neither", neither);
            reading.add(Group::Silence, Turn::Silent.name(), of(Turn::Silent));
        }
        if let Some(stages) = forecast.stage_now {
            reading.add_stages(Group::StageNow, &stages, N_STAGES_NOW);
        }
        if let Some(stages) = outlook.stage {
            reading.add_stages(Group::StageAhead, &stages, Stage::ALL.len());
        }
        reading
    }

    fn add(&mut self, group: Group, class: &'static str, value: f64) {
        self.groups.push(group);
        self.classes.push(class);
        self.values.push(value);
    }

    fn add_stages(&mut self, group: Group, stages: &StageProbabilities, n_stages: usize) {
        for stage in &Stage::ALL[..n_stages] {
            self.add(group, stage.name(), f64::from(stages.of(*stage)));
        }
    }

    /// Names of the values over so many periods, as in explanations.
    pub(super) fn outputs(&self, horizon: usize) -> Vec<String> {
        let name = |(group, class): (&Group, &&str)| match group {
            Group::Sales => units_name(horizon),
            Group::Turn | Group::Silence => turn_name(class),
            Group::StageNow => now_name(class),
            Group::StageAhead => format!("P({class} in {} weeks)", OUTLOOK_WEEKS[OUTLOOK]),
        };
        self.groups.iter().zip(&self.classes).map(name).collect()
    }

    /// The greatest difference to another: of probability, or of units by the units.
    pub(super) fn apart(&self, other: &Self) -> f64 {
        let sizes = self.groups.iter().zip(&self.values).zip(&other.values);
        let apart = sizes.map(|((group, one), other)| {
            let size = if *group == Group::Sales { one.abs().max(1.0) } else { 1.0 };
            (one - other).abs() / size
        });
        apart.fold(0.0, f64::max)
    }
}

/// The likeliest of some classes; the earlier one where two are equal.
fn likeliest(reading: &Reading, classes: std::ops::Range<usize>) -> usize {
    let first = classes.start;
    classes.fold(
        first,
        |best, class| {
            if reading.values[class] > reading.values[best] { class } else { best }
        },
    )
}

#[cfg(test)]
mod tests {
    use lifecycle::{Outlook, Period, Series, UnitsForecast};

    use super::*;

    fn reading(units: f32, turns: Option<[f32; 3]>, decline: f64) -> Reading {
        let stage = Some(StageProbabilities::from_weights([0.0, 0.0, 1.0 - decline, decline, 0.0]));
        let outlook = Outlook { turns, stage };
        Reading::of(&Forecast {
            series: Series::of("mug"),
            origin: Period(0),
            units: Some(UnitsForecast { means: vec![units], ..UnitsForecast::default() }),
            stage_now: stage,
            outlooks: [outlook; 3],
            cold_start: false,
            far_from_training: false,
        })
    }

    #[test]
    fn a_target_is_met_where_another_class_leads() {
        let before = reading(10.0, Some([0.3, 0.1, 0.25]), 0.4);
        let judged = |target: Target, after: &Reading| target.judged(0.1, &before, after);
        let same = judged(Target::Turn, &before);
        assert_eq!((before.classes[same.was], before.classes[same.becomes]), ("neither", "halved"));
        assert!(!same.is_met() && (same.lead - (0.3 - 0.6)).abs() < 1e-6);
        let after = reading(11.5, Some([0.1, 0.5, 0.25]), 0.7);
        let turned = judged(Target::Turn, &after);
        assert_eq!(after.classes[turned.becomes], "doubled");
        assert!(turned.is_met());
        let aged = judged(Target::StageNow, &after);
        assert_eq!((after.classes[aged.was], after.classes[aged.becomes]), ("maturity", "decline"));
        assert!(aged.is_met() && (aged.lead - 0.4).abs() < 1e-6);
        assert!(judged(Target::StageAhead, &after).is_met());
        assert!(judged(Target::MoreSales, &after).is_met());
        assert!(!judged(Target::FewerSales, &after).is_met());
        assert!(!judged(Target::MoreSales, &reading(10.5, None, 0.4)).is_met());
    }

    #[test]
    fn silence_is_no_outcome_of_its_own() {
        // Halved .5 holds silent .45: neither has .4 and is not the likeliest.
        let before = reading(10.0, Some([0.5, 0.1, 0.45]), 0.4);
        let judged = Target::Turn.judged(0.1, &before, &before);
        assert_eq!(before.classes[judged.was], "halved");
        assert_eq!(before.classes[judged.becomes], "neither");
    }

    #[test]
    fn what_a_model_does_not_say_is_not_asked() {
        let no_turns = reading(0.0, None, 0.4);
        let asked: Vec<Target> =
            Target::ALL.into_iter().filter(|target| target.is_asked(&no_turns)).collect();
        assert_eq!(asked, [Target::StageNow, Target::StageAhead]);
        assert_eq!(no_turns.outputs(4).len(), 10);
        let all = reading(1.0, Some([0.5, 0.1, 0.45]), 0.4).outputs(4);
        assert_eq!(all[..2], ["units, periods 1 to 4", "P(halved by 13 weeks)"]);
        assert_eq!(all[8..10], ["P(decline now)", "P(introduction in 13 weeks)"]);
    }
}
