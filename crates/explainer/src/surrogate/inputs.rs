//! What a planner knows of a series at an origin, in few numbers: the inputs of surrogates of all
//! forecasts.

use lifecycle::{Frequency, Period};
use panel::{Channel, History};
use serde::{Deserialize, Serialize};

/// Weeks that are called recent.
const RECENT_WEEKS: u32 = 13;

/// Weeks over which a price is compared with its own mean.
const YEAR_WEEKS: u32 = 52;

/// Ratios of sales are shrunk by this share of their mean, so that nothing over nothing is 1.
const SHRINKAGE: f64 = 0.1;

/// A number that is known of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// Weeks since its first known period, the origin's included.
    Age,
    /// Mean units a week over the recent weeks.
    Units,
    /// Natural logarithm of the units of the recent weeks over those of as many weeks before.
    Growth,
    /// Weeks since the last sale.
    Silence,
    /// Natural logarithm of the mean price of the recent weeks over that of the year.
    Price,
    /// Share of the recent weeks under promotion.
    Promotion,
    /// Share of the recent weeks in stock.
    InStock,
}

/// How the numbers of an input are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Weeks,
    Units,
    /// Natural logarithm of a ratio, written as the ratio.
    Ratio,
    Share,
}

impl Input {
    /// All inputs.
    pub const ALL: [Self; 7] = [
        Self::Age,
        Self::Units,
        Self::Growth,
        Self::Silence,
        Self::Price,
        Self::Promotion,
        Self::InStock,
    ];

    /// Name in sentences and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::Units => "weekly units (last 13 weeks)",
            Self::Growth => "growth (units of the last 13 weeks over the 13 before)",
            Self::Silence => "silence (time since the last sale)",
            Self::Price => "price (last 13 weeks over the year's mean)",
            Self::Promotion => "promotion (share of the last 13 weeks)",
            Self::InStock => "stock (share of the last 13 weeks)",
        }
    }

    /// The same in Chinese.
    pub fn name_zh(self) -> &'static str {
        match self {
            Self::Age => "上市时长",
            Self::Units => "最近13周的周均销量",
            Self::Growth => "最近13周销量与之前13周之比",
            Self::Silence => "距上次售出的时间",
            Self::Price => "最近13周价格与全年均价之比",
            Self::Promotion => "最近13周的促销占比",
            Self::InStock => "最近13周的有货占比",
        }
    }

    /// A value as a planner reads it.
    pub(super) fn told(self, value: f64) -> String {
        match self.unit() {
            Unit::Weeks => format!("{value:.0} weeks"),
            Unit::Units => format!("{value:.2}"),
            Unit::Ratio => format!("× {:.2}", value.exp()),
            Unit::Share => format!("{:.0} %", 100.0 * value),
        }
    }

    /// The same in Chinese.
    pub(super) fn told_zh(self, value: f64) -> String {
        match self.unit() {
            Unit::Weeks => format!("{value:.0}周"),
            Unit::Units => format!("{value:.2}"),
            Unit::Ratio => format!("{:.2}倍", value.exp()),
            Unit::Share => format!("{:.0}%", 100.0 * value),
        }
    }

    fn unit(self) -> Unit {
        match self {
            Self::Age | Self::Silence => Unit::Weeks,
            Self::Units => Unit::Units,
            Self::Growth | Self::Price => Unit::Ratio,
            Self::Promotion | Self::InStock => Unit::Share,
        }
    }
}

/// All inputs of a series at an origin, in the order of [`Input::ALL`]; NaN where not known.
pub(super) fn inputs(history: &History, frequency: Frequency, origin: Period) -> Vec<f64> {
    let Some(known) = history.known_at(origin) else { return vec![f64::NAN; Input::ALL.len()] };
    let recent = frequency.periods_of_weeks(RECENT_WEEKS);
    let weeks = frequency.weeks_per_period();
    let mean = |channel, ago, n| mean(&known, channel, origin.plus(-(ago as i32)), n);
    let input = |input| match input {
        Input::Age => f64::from(origin.since(known.start) + 1) * weeks,
        Input::Units => mean(Channel::Units, 0, recent) / weeks,
        Input::Growth => {
            let (now, before) =
                (mean(Channel::Units, 0, recent), mean(Channel::Units, recent, recent));
            let more = SHRINKAGE * f64::midpoint(now, before);
            if more == 0.0 { 0.0 } else { ((now + more) / (before + more)).ln() }
        }
        Input::Silence => {
            let sold = |n: &usize| known.value(Channel::Units, origin.plus(-(*n as i32))) > 0.0;
            let n = (0..known.n_periods()).find(sold).unwrap_or(known.n_periods());
            n as f64 * weeks
        }
        Input::Price => {
            let year = frequency.periods_of_weeks(YEAR_WEEKS);
            let ratio = mean(Channel::Price, 0, recent) / mean(Channel::Price, 0, year);
            if ratio > 0.0 { ratio.ln() } else { f64::NAN }
        }
        Input::Promotion => mean(Channel::Promotion, 0, recent),
        Input::InStock => mean(Channel::InStock, 0, recent),
    };
    Input::ALL.map(input).to_vec()
}

/// Mean of a channel over `n` periods up to `last`, of those that are known; of units, those that
/// say what could be sold. NaN where there are none.
fn mean(known: &History, channel: Channel, last: Period, n: usize) -> f64 {
    let periods = (0..n).map(|back| last.plus(-(back as i32)));
    let periods = periods.filter(|at| channel != Channel::Units || known.is_observed(*at));
    let values: Vec<f64> = periods
        .map(|at| f64::from(known.value(channel, at)))
        .filter(|value| value.is_finite())
        .collect();
    if values.is_empty() { f64::NAN } else { values.iter().sum::<f64>() / values.len() as f64 }
}

#[cfg(test)]
mod tests {
    use lifecycle::Series;
    use panel::Statics;

    use super::*;

    #[test]
    fn inputs_are_what_a_planner_knows_at_the_origin() {
        let mut channels: [Vec<f32>; 8] = Default::default();
        let units = |week| match week {
            0..13 => 2.0,
            13..24 => 6.0,
            24 | 25 => 0.0,
            _ => 1e6,
        };
        channels[Channel::Units as usize] = (0..40).map(units).collect();
        channels[Channel::Price as usize] =
            (0..40).map(|week| if week < 13 { 4.0 } else { 2.0 }).collect();
        let mut history = History {
            series: Series::of("mug"),
            statics: Statics::default(),
            start: Period(0),
            channels,
            corrections: Vec::new(),
            given_stage: Vec::new(),
        };
        let told = |history: &History| inputs(history, Frequency::Week, Period(25));
        let found = told(&history);
        let now = 66.0_f64 / 13.0;
        let more = 0.05 * (now + 2.0);
        let growth = ((now + more) / (2.0 + more)).ln();
        let expected = [26.0, now, growth, 2.0, (2.0_f64 / 3.0).ln()];
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
        }
        assert!(found[5].is_nan() && found[6].is_nan(), "nothing is known of them");
        history.channels[Channel::InStock as usize] = vec![1.0; 40];
        history.channels[Channel::InStock as usize][25] = 0.0;
        let found = told(&history);
        assert!((found[6] - 12.0 / 13.0).abs() < 1e-6);
        assert!((found[1] - 66.0 / 12.0).abs() < 1e-6, "out of stock, nothing could be sold");
        history.channels[Channel::Units as usize] = vec![0.0; 40];
        assert_eq!(told(&history)[2..4], [0.0, 26.0], "nothing over nothing");
    }

    #[test]
    fn numbers_are_written_as_what_they_are() {
        let told = |input: Input, value: f64| (input.told(value), input.told_zh(value));
        assert_eq!(told(Input::Age, 52.4), ("52 weeks".into(), "52周".into()));
        assert_eq!(told(Input::Growth, 0.0), ("× 1.00".into(), "1.00倍".into()));
        assert_eq!(told(Input::Promotion, 0.25), ("25 %".into(), "25%".into()));
    }
}
