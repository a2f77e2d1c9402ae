//! What may be changed: prices and promotions planned for the horizon, and, looking back, prices,
//! promotions and stock of the last 13 weeks.
//!
//! A planned change says what lies ahead, a retrospective one what might have been: names tell which
//! is which. A share of the past is moved to another mean without losing its course: on the way up
//! every period keeps a part of its distance to 1, on the way down a part of itself. What is not
//! known stays unknown. A share in stock stays on its side of the one below which a period's units
//! are masked: what would have been sold on the other side is not known.

use panel::{Channel, History, Plan};
use serde::{Deserialize, Serialize};

use super::bounds::Bounds;
use crate::explained::Altered;
use crate::players::Cut;

/// Changes are told in thousandths, so they are searched in thousandths.
const THOUSAND: f64 = 1000.0;

/// Greatest share in stock of a period that stays masked.
const MASKED_MAX: f64 = History::IN_STOCK_MIN as f64 - 0.001;

/// An input that may be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Axis {
    /// The price of every period of the horizon, as a multiple of the recent one.
    PlannedPrice,
    /// The share under promotion of every period of the horizon.
    PlannedPromotion,
    /// The prices of the last 13 weeks, as a multiple of what they were.
    RecentPrice,
    /// The mean share under promotion of the last 13 weeks.
    RecentPromotion,
    /// The mean share in stock of the last 13 weeks.
    RecentStock,
}

impl Axis {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::PlannedPrice,
        Self::PlannedPromotion,
        Self::RecentPrice,
        Self::RecentPromotion,
        Self::RecentStock,
    ];

    /// Name in tables and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::PlannedPrice => "planned price",
            Self::PlannedPromotion => "planned promotion",
            Self::RecentPrice => "price, last 13 weeks",
            Self::RecentPromotion => "promotion, last 13 weeks",
            Self::RecentStock => "in stock, last 13 weeks",
        }
    }

    /// Whether it lies ahead; else it is retrospective.
    pub fn is_planned(self) -> bool {
        matches!(self, Self::PlannedPrice | Self::PlannedPromotion)
    }

    /// Whether values are multiples of the recent price; else they are shares.
    pub fn is_factor(self) -> bool {
        matches!(self, Self::PlannedPrice | Self::RecentPrice)
    }

    fn channel(self) -> Channel {
        match self {
            Self::PlannedPrice | Self::RecentPrice => Channel::Price,
            Self::PlannedPromotion | Self::RecentPromotion => Channel::Promotion,
            Self::RecentStock => Channel::InStock,
        }
    }

    /// How far down and up a period's share may go; of no meaning for a factor.
    fn limits(self, share: f64) -> [f64; 2] {
        let observed = f64::from(History::IN_STOCK_MIN);
        match self {
            Self::RecentStock if share < observed => [0.0, share.max(MASKED_MAX)],
            Self::RecentStock => [observed, 1.0],
            _ => [0.0, 1.0],
        }
    }
}

/// How far an input may be changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Range {
    /// Which input.
    pub axis: Axis,
    /// What is usual: 1 of a price, the mean share of the last 13 weeks.
    pub usual: f64,
    /// Least value: that of the bounds, or where no period can go further.
    pub low: f64,
    /// Greatest value, likewise.
    pub high: f64,
    /// Whether any value alone moves any answer of the model.
    pub is_read: bool,
}

impl Range {
    /// The allowed value that is nearest to the usual one.
    pub(super) fn near(&self) -> f64 {
        self.usual.clamp(self.low, self.high)
    }

    /// Whether the nearest value is no change at all: a plan always says more than none.
    pub(super) fn is_unchanged_near(&self) -> bool {
        !self.axis.is_planned() && self.near() == self.usual
    }

    /// A value in thousandths, within the bounds.
    pub(super) fn told(&self, value: f64) -> f64 {
        // Zero has no sign.
        ((value * THOUSAND).round() / THOUSAND).clamp(self.low, self.high) + 0.0
    }

    /// How far a value is from the usual one, in widths of the bounds.
    pub(super) fn distance(&self, value: f64) -> f64 {
        (value - self.usual).abs() / (self.high - self.low)
    }
}

/// Inputs at other values; what is not named is as it was.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Change {
    /// Axes in the order of [`Axis::ALL`], each with its value.
    pub values: Vec<(Axis, f64)>,
}

/// One history, and what may be changed of it.
#[derive(Debug)]
pub(super) struct Ground<'a> {
    history: &'a History,
    cut: Cut,
    horizon: usize,
    /// Mean price paid in the last 13 weeks; 0 where unknown.
    recent_price: f64,
    /// The axes whose channel the history knows.
    pub(super) ranges: Vec<Range>,
}

impl<'a> Ground<'a> {
    pub(super) fn new(bounds: &Bounds, history: &'a History, (cut, horizon): (Cut, usize)) -> Self {
        let range = |axis: Axis| {
            let mean = recent_mean(history, axis.channel(), cut, |value| value)?;
            let [mut low, mut high] = bounds.of(axis);
            if axis == Axis::RecentStock {
                let [least, most] = extremes(history, axis, cut);
                (low, high) = (low.max(least), high.min(most));
            }
            let usual = if axis.is_factor() { 1.0 } else { mean };
            // Without a price there is nothing to multiply.
            let is_known = !axis.is_factor() || mean > 0.0;
            (is_known && low < high).then_some(Range { axis, usual, low, high, is_read: false })
        };
        let ranges = Axis::ALL.into_iter().filter_map(range).collect();
        let recent_price = recent_mean(history, Channel::Price, cut, |price| price);
        let recent_price = recent_price.unwrap_or_default();
        Self { history, cut, horizon, recent_price, ranges }
    }

    /// The range of an axis that is known.
    pub(super) fn range(&self, axis: Axis) -> &Range {
        let found = self.ranges.iter().find(|range| range.axis == axis);
        found.expect("changes are made of the ranges' axes")
    }

    /// How far a change goes: the sum over its axes, each in widths of its bounds.
    pub(super) fn distance(&self, change: &Change) -> f64 {
        change.values.iter().map(|(axis, value)| self.range(*axis).distance(*value)).sum()
    }

    /// The history and the plan after a change.
    pub(super) fn altered(&self, change: &Change) -> Altered {
        let mut altered = Altered { history: self.history.clone(), plan: Plan::default() };
        for (axis, value) in &change.values {
            let usual = self.range(*axis).usual;
            match axis {
                Axis::PlannedPrice => {
                    altered.plan.prices = vec![(value * self.recent_price) as f32; self.horizon];
                }
                Axis::PlannedPromotion => {
                    altered.plan.promotions = vec![*value as f32; self.horizon];
                }
                Axis::RecentPrice => {
                    self.alter(&mut altered.history, *axis, |price| price * value);
                }
                Axis::RecentPromotion | Axis::RecentStock => {
                    let extremes = extremes(self.history, *axis, self.cut);
                    self.alter(&mut altered.history, *axis, |share| {
                        moved_share((share, axis.limits(share)), (usual, extremes), *value)
                    });
                }
            }
        }
        altered
    }

    /// Alters the known values of the last 13 weeks.
    fn alter(&self, history: &mut History, axis: Axis, of: impl Fn(f64) -> f64) {
        let start = history.start;
        let values = history.channels[axis.channel() as usize].iter_mut().enumerate();
        for (index, value) in values {
            let is_recent = (self.cut.recent..=self.cut.origin).contains(&start.plus(index as i32));
            if is_recent && value.is_finite() {
                *value = of(f64::from(*value)) as f32;
            }
        }
    }
}

/// A share of one period, within its limits, where the mean moves from `usual`, within those of all
/// periods, to `mean`.
fn moved_share(
    (share, [least, most]): (f64, [f64; 2]),
    (usual, [least_mean, most_mean]): (f64, [f64; 2]),
    mean: f64,
) -> f64 {
    if mean > usual && most_mean > usual {
        share + (most - share) * ((mean - usual) / (most_mean - usual)).min(1.0)
    } else if mean < usual && least_mean < usual {
        share + (least - share) * ((usual - mean) / (usual - least_mean)).min(1.0)
    } else {
        share
    }
}

/// The least and the greatest mean of an axis in the last 13 weeks that its periods allow.
fn extremes(history: &History, axis: Axis, cut: Cut) -> [f64; 2] {
    [0, 1].map(|end| {
        let mean = recent_mean(history, axis.channel(), cut, |share| axis.limits(share)[end]);
        mean.unwrap_or_default()
    })
}

/// The mean over what is known in the last 13 weeks up to the origin.
fn recent_mean(
    history: &History,
    channel: Channel,
    cut: Cut,
    of: impl Fn(f64) -> f64,
) -> Option<f64> {
    let n_recent = cut.origin.since(cut.recent) + 1;
    let value = |back: i32| history.value(channel, cut.recent.plus(back));
    let known = (0..n_recent).map(value).filter(|value| value.is_finite());
    let (sum, n) = known.fold((0.0, 0_u32), |(sum, n), value| (sum + of(f64::from(value)), n + 1));
    (n > 0).then(|| sum / f64::from(n))
}

#[cfg(test)]
pub(super) mod tests {
    use lifecycle::{Frequency, Period, Series};
    use panel::Statics;

    use super::*;

    /// A history of 30 weeks with these values in some channels.
    pub(in crate::counterfactual) fn history(channels: &[(Channel, f32)]) -> History {
        let mut all: [Vec<f32>; 8] = Default::default();
        all[Channel::Units as usize] = vec![10.0; 30];
        for (channel, value) in channels {
            all[*channel as usize] = vec![*value; 30];
        }
        History {
            series: Series::of("mug"),
            statics: Statics::default(),
            start: Period(0),
            channels: all,
            corrections: Vec::new(),
            given_stage: Vec::new(),
        }
    }

    /// The cut whose last 13 weeks are the periods 13 to 25.
    pub(in crate::counterfactual) fn cut() -> Cut {
        Cut::new(Frequency::Week, Period(25))
    }

    fn change(values: &[(Axis, f64)]) -> Change {
        Change { values: values.to_vec() }
    }

    #[test]
    fn only_what_is_known_may_be_changed() {
        let axes = |channels: &[(Channel, f32)]| {
            let known = history(channels);
            let ground = Ground::new(&Bounds::default(), &known, (cut(), 4));
            ground.ranges.iter().map(|range| range.axis).collect::<Vec<_>>()
        };
        assert!(axes(&[]).is_empty());
        assert!(axes(&[(Channel::Price, 0.0)]).is_empty(), "nothing to multiply");
        assert_eq!(axes(&[(Channel::Price, 2.0)]), [Axis::PlannedPrice, Axis::RecentPrice]);
        assert_eq!(axes(&[(Channel::InStock, 0.5)]), [Axis::RecentStock]);
        let all = [(Channel::Price, 2.0), (Channel::Promotion, 0.1), (Channel::InStock, 1.0)];
        assert_eq!(axes(&all), Axis::ALL);
        let mut late = history(&all);
        late.channels[Channel::Promotion as usize][..26].fill(f32::NAN);
        let ground = Ground::new(&Bounds::default(), &late, (cut(), 4));
        assert_eq!(ground.ranges.len(), 3, "a promotion after the origin is not known there");
    }

    #[test]
    fn a_plan_lies_ahead_and_the_past_changes_in_its_last_13_weeks_only() {
        let mut own = history(&[(Channel::Price, 2.0), (Channel::Promotion, 0.0)]);
        own.channels[Channel::Promotion as usize][25] = 0.65;
        own.channels[Channel::Price as usize][20] = f32::NAN;
        let ground = Ground::new(&Bounds::default(), &own, (cut(), 4));
        let planned = ground.altered(&change(&[(Axis::PlannedPrice, 0.75)]));
        assert_eq!(planned.history.channel(Channel::Units), own.channel(Channel::Units));
        assert_eq!((planned.plan.prices, planned.plan.promotions), (vec![1.5; 4], Vec::new()));
        let both = [(Axis::RecentPrice, 0.5), (Axis::RecentPromotion, 0.525)];
        let recent = ground.altered(&change(&both));
        assert_eq!(recent.plan, Plan::default());
        let prices = recent.history.channel(Channel::Price);
        assert_eq!((prices[12], prices[13], prices[25], prices[26]), (2.0, 1.0, 1.0, 2.0));
        assert!(prices[20].is_nan(), "what is unknown stays so");
        // The mean of .05 moves half of the way to 1, and so does every week.
        let shares = recent.history.channel(Channel::Promotion);
        assert_eq!((shares[12], shares[13], shares[26]), (0.0, 0.5, 0.0));
        assert!((shares[25] - 0.825).abs() < 1e-6);
        assert!((ground.distance(&change(&both)) - (0.5 / 0.6 + 0.475)).abs() < 1e-6);
        let none = ground.altered(&change(&[(Axis::RecentPromotion, 0.0)]));
        assert_eq!(none.history.channel(Channel::Promotion), [0.0; 30]);
    }

    #[test]
    fn no_change_of_a_share_changes_nothing() {
        let own = history(&[(Channel::InStock, 0.4)]);
        let ground = Ground::new(&Bounds::default(), &own, (cut(), 4));
        let range = ground.range(Axis::RecentStock);
        assert!(range.is_unchanged_near());
        let same = ground.altered(&change(&[(Axis::RecentStock, range.usual)]));
        assert_eq!(same.history.channel(Channel::InStock), own.channel(Channel::InStock));
    }
    #[test]
    fn stock_changes_no_mask() {
        let mut own = history(&[(Channel::InStock, 1.0)]);
        // Sold out for two of the last 13 weeks, and half of a third one.
        for (week, share) in [(20, 0.0), (21, 0.1), (22, 0.5)] {
            own.channels[Channel::InStock as usize][week] = share;
        }
        own.channels[Channel::Units as usize][20] = 0.0;
        let ground = Ground::new(&Bounds::default(), &own, (cut(), 4));
        let Range { low, high, usual, .. } = *ground.range(Axis::RecentStock);
        assert!((low - 11.0 * 0.3 / 13.0).abs() < 1e-6, "{low}");
        assert!((high - (11.0 + 2.0 * 0.299) / 13.0).abs() < 1e-6, "{high}");
        for share in [low, 0.5, usual, 0.89, high] {
            let altered = ground.altered(&change(&[(Axis::RecentStock, share)])).history;
            let mean = recent_mean(&altered, Channel::InStock, cut(), |share| share);
            assert!((mean.expect("known") - share).abs() < 1e-6, "{mean:?} is not {share}");
            for week in 0..30 {
                assert_eq!(altered.is_observed(Period(week)), own.is_observed(Period(week)));
            }
        }
        let out_of_reach = Bounds { in_stock: [0.95, 1.0], ..Bounds::default() };
        assert!(Ground::new(&out_of_reach, &own, (cut(), 4)).ranges.is_empty());
    }
}
