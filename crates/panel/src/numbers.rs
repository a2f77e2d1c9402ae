//! Computes [`crate::STATIC_INPUTS`] from what was known at an origin. NaN means unknown.

use crate::calendar::Calendar;
use crate::launch;
use crate::life::LifeNow;
use crate::view::{Sums, View};
use crate::{Channel, PanelMeta};

/// All that the numbers of one window are computed from.
#[derive(Debug)]
pub(crate) struct Known<'a> {
    pub(crate) meta: &'a PanelMeta,
    pub(crate) view: &'a View<'a>,
    pub(crate) calendar: &'a Calendar,
    pub(crate) life: &'a LifeNow,
    /// Scale in multiples of one unit.
    pub(crate) scale: f64,
    /// Usual early units of the category, in multiples of one unit.
    pub(crate) launch_level: f64,
    /// Median price of the category.
    pub(crate) price_level: Option<f64>,
    /// Series of the category that had begun.
    pub(crate) n_series: u32,
    /// Periods since launch, the origin's included.
    pub(crate) age: u32,
}

/// A number with its name in [`crate::STATIC_INPUTS`].
pub(crate) type Named = (&'static str, f64);

/// The numbers in the order of [`crate::STATIC_INPUTS`], not yet standardised.
pub(crate) fn numbers(known: &Known<'_>) -> Vec<Named> {
    let mut out = Vec::with_capacity(crate::STATIC_INPUTS.len());
    out.extend(known.level());
    out.extend(known.ages());
    out.extend(known.means());
    out.extend(known.trends());
    out.extend(known.shares());
    out.extend(known.silence());
    out.extend(known.variation());
    out.extend(known.orders());
    out.extend(known.year_ago());
    out.extend(known.category());
    out.extend(known.season());
    out.extend(known.filter());
    out.extend(known.prices());
    out.extend(known.stock());
    out.extend(
        known.interest(Channel::Views, ["views_4", "views_13", "views_per_unit", "views_known"]),
    );
    out.extend(
        known.interest(Channel::Carts, ["carts_4", "carts_13", "carts_per_unit", "carts_known"]),
    );
    out.extend(known.frequency());
    out
}

fn flag(is_set: bool) -> f64 {
    f64::from(u8::from(is_set))
}

fn or_unknown(value: Option<f64>) -> f64 {
    value.unwrap_or(f64::NAN)
}

/// Mean units of observed periods.
fn mean(sums: Sums) -> Option<f64> {
    (sums.n_observed > 0).then(|| sums.units / f64::from(sums.n_observed))
}

/// Coefficient of variation.
fn variation(sums: Sums) -> Option<f64> {
    let mean = mean(sums).filter(|mean| *mean > 0.0)?;
    let variance = (sums.squares / f64::from(sums.n_observed) - mean * mean).max(0.0);
    Some(variance.sqrt() / mean)
}

/// `ln((value + shrink) / (base + shrink))`.
fn ratio(value: Option<f64>, base: Option<f64>, shrink: f64) -> f64 {
    match (value, base) {
        (Some(value), Some(base)) if base + shrink > 0.0 && value + shrink > 0.0 => {
            ((value + shrink) / (base + shrink)).ln()
        }
        _ => f64::NAN,
    }
}

impl Known<'_> {
    fn weeks(&self, weeks: u32) -> usize {
        self.view.weeks(weeks)
    }

    /// Sums over so many weeks that end so many weeks before the origin.
    fn sums(&self, weeks_ago: u32, weeks: u32) -> Sums {
        let ago = if weeks_ago == 0 { 0 } else { self.weeks(weeks_ago) };
        self.view.window(ago, self.weeks(weeks))
    }

    fn mean(&self, weeks_ago: u32, weeks: u32) -> Option<f64> {
        mean(self.sums(weeks_ago, weeks))
    }

    /// Added to both sides of a ratio of units, so that few units make no large ratio.
    fn shrink(&self) -> f64 {
        0.1 * self.scale
    }

    fn level(&self) -> [Named; 4] {
        [
            ("log_scale", self.scale.ln()),
            ("log_units_13", self.sums(0, 13).units.ln_1p()),
            ("log_units_52", self.sums(0, 52).units.ln_1p()),
            ("log_launch_level", self.launch_level.ln()),
        ]
    }

    fn ages(&self) -> [Named; 7] {
        let to_weeks = self.meta.frequency.weeks_per_period();
        let weeks = f64::from(self.age) * to_weeks;
        [
            ("log_age", weeks.ln_1p()),
            ("age_below_13", flag(weeks < 13.0)),
            ("age_13", flag((13.0..26.0).contains(&weeks))),
            ("age_26", flag((26.0..52.0).contains(&weeks))),
            ("age_52", flag(weeks >= 52.0)),
            ("left_censored", flag(launch::is_left_censored(self.meta, self.view))),
            ("log_observed", (f64::from(self.view.n_observed()) * to_weeks).ln_1p()),
        ]
    }

    fn means(&self) -> [Named; 6] {
        let relative = |mean: Option<f64>| or_unknown(mean.map(|mean| (mean / self.scale).asinh()));
        [
            ("mean_1", relative(mean(self.view.window(0, 1)))),
            ("mean_4", relative(self.mean(0, 4))),
            ("mean_8", relative(self.mean(0, 8))),
            ("mean_13", relative(self.mean(0, 13))),
            ("mean_26", relative(self.mean(0, 26))),
            ("mean_52", relative(self.mean(0, 52))),
        ]
    }

    fn trends(&self) -> [Named; 5] {
        let trend = |recent, before| ratio(recent, before, self.shrink());
        [
            ("trend_4", trend(self.mean(0, 4), self.mean(0, 13))),
            ("trend_13", trend(self.mean(0, 13), self.mean(13, 13))),
            ("trend_26", trend(self.mean(0, 26), self.mean(26, 26))),
            ("slope_13", self.slope(13)),
            ("slope_26", self.slope(26)),
        ]
    }

    /// Rise of asinh(units / scale) over so many weeks, by least squares.
    fn slope(&self, weeks: u32) -> f64 {
        let n_periods = self.weeks(weeks).min(self.view.n_periods());
        let recent = &self.view.units[self.view.n_periods() - n_periods..];
        let (mut n, mut sum_x, mut sum_y, mut sum_xx, mut sum_xy) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for (step, units) in recent.iter().enumerate().filter(|(_, units)| units.is_finite()) {
            let (x, y) = (step as f64, (units / self.scale).asinh());
            n += 1.0;
            sum_x += x;
            sum_y += y;
            sum_xx += x * x;
            sum_xy += x * y;
        }
        let spread = n * sum_xx - sum_x * sum_x;
        if n < 4.0 || spread <= 0.0 {
            return f64::NAN;
        }
        (n * sum_xy - sum_x * sum_y) / spread * self.weeks(weeks) as f64
    }

    /// Share of the category over so many weeks; `None` where nothing of it is known.
    fn share(&self, ago: usize, n_periods: usize) -> Option<f64> {
        let sums = self.view.window(ago, n_periods);
        (sums.n_observed > 0 && sums.category > 0.0).then(|| sums.units / sums.category)
    }

    /// A tenth of the share that the scale is.
    fn share_shrink(&self) -> f64 {
        let recent = self.sums(0, 52);
        let category = recent.category / f64::from(recent.n_observed.max(1));
        if category > 0.0 { self.shrink() / category } else { 0.0 }
    }

    fn shares(&self) -> [Named; 5] {
        let (four, thirteen, half, year) =
            (self.weeks(4), self.weeks(13), self.weeks(26), self.weeks(52));
        let (now, shrink) = (self.share(0, thirteen), self.share_shrink());
        let against = |before| ratio(now, before, shrink);
        let n_series = f64::from(self.n_series.max(1));
        [
            ("share_4", ratio(self.share(0, four), now, shrink)),
            ("share_13", against(self.share(thirteen, thirteen))),
            ("share_26_ago", against(self.share(half, thirteen))),
            ("share_year_ago", against(self.share(year, thirteen))),
            ("log_share", or_unknown(now.map(|now| ((now + shrink) * n_series + 1e-9).ln()))),
        ]
    }

    fn silence(&self) -> [Named; 5] {
        let zeros = |weeks| {
            let sums = self.sums(0, weeks);
            let known = sums.n_observed > 0;
            or_unknown(known.then(|| f64::from(sums.n_zero) / f64::from(sums.n_observed)))
        };
        let year = self.sums(0, 52);
        let n_sold = year.n_observed - year.n_zero;
        let usual = (n_sold > 0).then(|| f64::from(year.n_observed) / f64::from(n_sold));
        let since = self.view.since_sale().map(|since| since as f64);
        let weeks = self.meta.frequency.weeks_per_period();
        [
            ("zeros_13", zeros(13)),
            ("zeros_26", zeros(26)),
            ("zeros_52", zeros(52)),
            ("since_sale", or_unknown(since.map(|since| (since * weeks).ln_1p()))),
            ("gap_ratio", ratio(since, usual, 1.0)),
        ]
    }

    fn variation(&self) -> [Named; 4] {
        let half = self.sums(0, 26);
        let n_recent = self.weeks(26).min(self.view.n_periods());
        let recent = &self.view.units[self.view.n_periods() - n_recent..];
        let greatest = recent.iter().copied().filter(|units| units.is_finite()).fold(0.0, f64::max);
        let year = self.sums(0, 52);
        let dispersion = variation(year).zip(mean(year)).map(|(cv, mean)| cv * cv * mean);
        [
            ("variation_13", or_unknown(variation(self.sums(0, 13)))),
            ("variation_26", or_unknown(variation(half))),
            ("greatest_26", if half.units > 0.0 { greatest / half.units } else { f64::NAN }),
            ("log_dispersion", or_unknown(dispersion.map(|value| value.max(0.1).ln()))),
        ]
    }

    /// Sum of the known values of a channel over the last weeks.
    fn channel_sum(&self, channel: Channel, weeks: u32) -> Option<f64> {
        let n_periods = self.weeks(weeks).min(self.view.n_periods());
        Some(self.view.channel_mean(channel, 0, n_periods)? * n_periods as f64)
    }

    fn orders(&self) -> [Named; 4] {
        let orders = self.channel_sum(Channel::Orders, 26);
        let units = self.sums(0, 26).units;
        let size =
            orders.filter(|orders| *orders > 0.0 && units > 0.0).map(|orders| units / orders);
        let recent = self.channel_sum(Channel::Orders, 13);
        let returns = self.channel_sum(Channel::Returns, 26);
        let sold = units * self.meta.units_per_one;
        let rate = returns.filter(|_| sold > 0.0).map(|returns| (returns / sold).min(2.0));
        [
            ("log_order_size", or_unknown(size.map(f64::ln))),
            ("log_orders_13", or_unknown(recent.map(f64::ln_1p))),
            ("orders_known", flag(orders.is_some())),
            ("returns_26", or_unknown(rate)),
        ]
    }

    /// The window that a turn is judged by, a year ago: it ends `ago` periods before the origin and
    /// holds `n_periods`.
    fn after_a_year_ago(&self, weeks: u32) -> (usize, usize) {
        (self.weeks(52) - self.weeks(weeks), self.weeks(weeks.min(13)))
    }

    fn year_ago(&self) -> [Named; 7] {
        let (year, thirteen) = (self.weeks(52), self.weeks(13));
        let before = self.view.window(year, thirteen);
        let known = self.view.n_periods() > year
            && before.n_observed as usize >= self.weeks(6).min(thirteen);
        let units = |weeks| {
            let (ago, n_periods) = self.after_a_year_ago(weeks);
            let after = mean(self.view.window(ago, n_periods)).filter(|_| known);
            ratio(after, mean(before), self.shrink())
        };
        let share = |weeks| {
            let (ago, n_periods) = self.after_a_year_ago(weeks);
            let after = self.share(ago, n_periods).filter(|_| known);
            ratio(after, self.share(year, thirteen), self.share_shrink())
        };
        [
            ("year_ago_4", units(4)),
            ("year_ago_13", units(13)),
            ("year_ago_26", units(26)),
            ("year_ago_share_4", share(4)),
            ("year_ago_share_13", share(13)),
            ("year_ago_share_26", share(26)),
            ("year_ago_known", flag(known)),
        ]
    }

    fn category(&self) -> [Named; 6] {
        let mean = |ago, n| self.view.category_mean(ago, n).filter(|mean| *mean > 0.0);
        let (year, four, thirteen) = (self.weeks(52), self.weeks(4), self.weeks(13));
        let now = mean(0, thirteen);
        let before = mean(year, thirteen);
        let year_ago = |weeks| {
            let (ago, n_periods) = self.after_a_year_ago(weeks);
            ratio(mean(ago, n_periods), before, 0.0)
        };
        [
            ("category_4", ratio(mean(0, four), now, 0.0)),
            ("category_13", ratio(now, mean(thirteen, thirteen), 0.0)),
            ("category_year_ago_4", year_ago(4)),
            ("category_year_ago_13", year_ago(13)),
            ("category_year_ago_26", year_ago(26)),
            ("category_year_ago_known", flag(before.is_some())),
        ]
    }

    fn season(&self) -> [Named; 6] {
        let origin = self.view.origin;
        let recent = self.calendar.mean_season(origin.plus(1 - self.weeks(13) as i32), origin);
        let ahead = |weeks: u32| {
            let (last, n) = (self.weeks(weeks) as i32, self.weeks(weeks.min(13)) as i32);
            let mean = self.calendar.mean_season(origin.plus(last - n + 1), origin.plus(last));
            (mean / recent).ln()
        };
        let [sin, cos] = self.calendar.at(origin).year;
        [
            ("season_now", recent.ln()),
            ("season_4", ahead(4)),
            ("season_13", ahead(13)),
            ("season_26", ahead(26)),
            ("season_sin", sin),
            ("season_cos", cos),
        ]
    }

    fn filter(&self) -> [Named; 16] {
        let life = self.life;
        let [introduction, growth, maturity, decline, _] = life.stage_now.as_array().map(f64::from);
        let [ended_4, ended_13, ended_26] =
            life.stages.map(|stages| f64::from(stages.of(lifecycle::Stage::Ended)));
        let continuation = |weeks: u32| {
            let (last, n) = (self.weeks(weeks), self.weeks(weeks.min(13)));
            let expected = life.expected[last - n..last].iter().sum::<f64>() / n as f64;
            ratio(Some(expected), Some(self.mean(0, 13).unwrap_or(self.scale)), self.shrink())
        };
        [
            ("filter_introduction", introduction),
            ("filter_growth", growth),
            ("filter_maturity", maturity),
            ("filter_decline", decline),
            ("filter_over", life.over),
            ("filter_ended_4", ended_4),
            ("filter_ended_13", ended_13),
            ("filter_ended_26", ended_26),
            ("filter_decline_13", f64::from(life.stages[1].of(lifecycle::Stage::Decline))),
            ("filter_dispersion", life.dispersion.ln()),
            ("continuation_4", continuation(4)),
            ("continuation_13", continuation(13)),
            ("continuation_26", continuation(26)),
            ("log_life_age", (life.n_steps as f64).ln_1p()),
            ("relaunched", flag(life.is_relaunch)),
            ("launch_ratio", (self.scale / self.launch_level).ln()),
        ]
    }

    fn prices(&self) -> [Named; 7] {
        let positive = |weeks_ago, weeks| {
            let ago = if weeks_ago == 0 { 0 } else { self.weeks(weeks_ago) };
            let mean = self.view.channel_mean(Channel::Price, ago, self.weeks(weeks));
            mean.filter(|price| *price > 0.0)
        };
        let now = positive(0, 13);
        let promotion = |weeks| self.view.channel_mean(Channel::Promotion, 0, self.weeks(weeks));
        [
            ("price_own", ratio(positive(0, 4), positive(0, 52), 0.0)),
            ("price_trend", ratio(now, positive(13, 13), 0.0)),
            ("price_category", ratio(now, self.price_level, 0.0)),
            ("price_known", flag(now.is_some())),
            ("promotion_4", or_unknown(promotion(4))),
            ("promotion_13", or_unknown(promotion(13))),
            ("promotion_known", flag(promotion(13).is_some())),
        ]
    }

    fn stock(&self) -> [Named; 3] {
        let masked = |weeks| {
            let n_periods = self.weeks(weeks).min(self.view.n_periods());
            let n_observed = f64::from(self.sums(0, weeks).n_observed);
            or_unknown((n_periods > 0).then(|| 1.0 - n_observed / n_periods as f64))
        };
        let known = self.view.channel_mean(Channel::InStock, 0, self.weeks(13));
        [
            ("stock_out_4", masked(4)),
            ("stock_out_13", masked(13)),
            ("in_stock_known", flag(known.is_some())),
        ]
    }

    fn interest(&self, channel: Channel, names: [&'static str; 4]) -> [Named; 4] {
        let mean = |weeks_ago: u32, weeks| {
            let ago = if weeks_ago == 0 { 0 } else { self.weeks(weeks_ago) };
            self.view.channel_mean(channel, ago, self.weeks(weeks))
        };
        let now = mean(0, 13);
        let shrink = 0.1 * mean(0, 52).unwrap_or(0.0);
        [
            (names[0], ratio(mean(0, 4), now, shrink)),
            (names[1], ratio(now, mean(13, 13), shrink)),
            (names[2], ratio(now, self.mean(0, 13), self.shrink().max(1e-9))),
            (names[3], flag(now.is_some())),
        ]
    }

    fn frequency(&self) -> [Named; 2] {
        use lifecycle::Frequency;
        [
            ("daily", flag(self.meta.frequency == Frequency::Day)),
            ("monthly", flag(self.meta.frequency == Frequency::Month)),
        ]
    }
}
