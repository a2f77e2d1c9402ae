//! A history as it was known at an origin: units by period with later changes taken out, masks, and
//! the category beside it.

use lifecycle::{Frequency, Period, Stretch};

use crate::{CategoryUnits, Channel, History, PanelMeta};

/// What was known of one series at one origin. Index 0 is the first period of the series.
#[derive(Debug)]
pub(crate) struct View<'a> {
    pub(crate) history: &'a History,
    pub(crate) origin: Period,
    pub(crate) frequency: Frequency,
    /// Units in multiples of one unit, NaN where masked. Shape `[n_periods]`, the last is the
    /// origin.
    pub(crate) units: Vec<f64>,
    /// Units of the category from the panel's start to the origin, in multiples of one unit.
    pub(crate) category: Vec<f64>,
    /// Periods from the panel's start to the start of the series (negative: it began before).
    pub(crate) lead: i32,
    /// Sums over the first `i` periods. Shape `[n_periods + 1]`.
    sums: Vec<Sums>,
    /// Sums of `category` over its first `i` periods.
    category_sums: Vec<f64>,
}

/// Sums over observed periods.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sums {
    pub(crate) units: f64,
    pub(crate) squares: f64,
    pub(crate) category: f64,
    pub(crate) n_observed: u32,
    pub(crate) n_zero: u32,
}

impl<'a> View<'a> {
    /// The series as known at `origin`; empty where it has not begun by then.
    pub(crate) fn new(
        meta: &PanelMeta,
        category: Option<&CategoryUnits>,
        history: &'a History,
        origin: Period,
    ) -> Self {
        let n_periods = usize::try_from(origin.since(history.start) + 1).unwrap_or(0);
        let units = units_known(history, origin, n_periods, meta.units_per_one);
        let n_category = usize::try_from(origin.since(meta.start) + 1).unwrap_or(0);
        let category: Vec<f64> = (0..n_category)
            .map(|step| {
                let period = meta.start.plus(step as i32);
                category.map_or(0.0, |units| units.units(period, origin)) / meta.units_per_one
            })
            .collect();
        let mut category_sums = vec![0.0; n_category + 1];
        for (step, units) in category.iter().enumerate() {
            category_sums[step + 1] = category_sums[step] + units;
        }
        let mut view = Self {
            history,
            origin,
            frequency: meta.frequency,
            units,
            category,
            lead: history.start.since(meta.start),
            sums: Vec::with_capacity(n_periods + 1),
            category_sums,
        };
        view.sum_up();
        view
    }

    fn sum_up(&mut self) {
        let mut total = Sums::default();
        self.sums.push(total);
        for step in 0..self.units.len() {
            let units = self.units[step];
            if units.is_finite() {
                total.units += units;
                total.squares += units * units;
                total.category += self.category_at(step as i32);
                total.n_observed += 1;
                total.n_zero += u32::from(units <= 0.0);
            }
            self.sums.push(total);
        }
    }

    /// Periods of the series up to the origin.
    pub(crate) fn n_periods(&self) -> usize {
        self.units.len()
    }

    /// Observed periods up to the origin.
    pub(crate) fn n_observed(&self) -> u32 {
        self.sums[self.units.len()].n_observed
    }

    /// Whole periods in so many weeks.
    pub(crate) fn weeks(&self, weeks: u32) -> usize {
        self.frequency.periods_of_weeks(weeks)
    }

    /// Units of the category in the period of an index of the series; 0 outside the panel.
    pub(crate) fn category_at(&self, index: i32) -> f64 {
        usize::try_from(index + self.lead)
            .ok()
            .and_then(|step| self.category.get(step).copied())
            .unwrap_or(0.0)
    }

    /// Sums over the `n` periods that end `ago` periods before the origin.
    pub(crate) fn window(&self, ago: usize, n: usize) -> Sums {
        let end = self.units.len().saturating_sub(ago);
        let (first, last) = (self.sums[end.saturating_sub(n)], self.sums[end]);
        Sums {
            units: last.units - first.units,
            squares: last.squares - first.squares,
            category: last.category - first.category,
            n_observed: last.n_observed - first.n_observed,
            n_zero: last.n_zero - first.n_zero,
        }
    }

    /// The same as a stretch that shares are taken of.
    pub(crate) fn stretch(&self, ago: usize, n: usize) -> Stretch {
        let Sums { units, category, n_observed, .. } = self.window(ago, n);
        Stretch { units, category_units: category, n_observed: n_observed as usize }
    }

    /// Mean units of the category over `n` periods that end `ago` before the origin; `None` where
    /// they reach before the panel.
    pub(crate) fn category_mean(&self, ago: usize, n: usize) -> Option<f64> {
        let end = self.category.len().checked_sub(ago)?;
        let start = end.checked_sub(n)?;
        (n > 0).then(|| (self.category_sums[end] - self.category_sums[start]) / n as f64)
    }

    /// Periods since the last sale: 0 where the origin's period holds one; `None` before the first.
    pub(crate) fn since_sale(&self) -> Option<usize> {
        let last = self.units.iter().rposition(|units| *units > 0.0)?;
        Some(self.units.len() - 1 - last)
    }

    /// The known values of a channel up to the origin, NaN where missing; empty where the channel
    /// is unknown.
    pub(crate) fn channel(&self, channel: Channel) -> &'a [f32] {
        let values = self.history.channel(channel);
        &values[..values.len().min(self.units.len())]
    }

    /// Mean of the known values of a channel in the `n` periods that end `ago` before the origin.
    pub(crate) fn channel_mean(&self, channel: Channel, ago: usize, n: usize) -> Option<f64> {
        let values = self.channel(channel);
        let end = self.units.len().saturating_sub(ago);
        let window = values.get(end.saturating_sub(n).min(values.len())..end.min(values.len()))?;
        mean(window)
    }
}

/// Units as known at `origin` in multiples of one unit; NaN where unknown or out of stock.
fn units_known(history: &History, origin: Period, n_periods: usize, one: f64) -> Vec<f64> {
    let finally = history.channel(Channel::Units);
    let mut units: Vec<f64> =
        (0..n_periods).map(|step| finally.get(step).map_or(f64::NAN, |v| f64::from(*v))).collect();
    for correction in &history.corrections {
        if correction.known > origin
            && let Ok(step) = usize::try_from(correction.period.since(history.start))
            && let Some(value) = units.get_mut(step)
        {
            *value -= f64::from(correction.change);
        }
    }
    for (step, value) in units.iter_mut().enumerate() {
        *value = if history.is_observed(history.start.plus(step as i32)) {
            value.max(0.0) / one
        } else {
            f64::NAN
        };
    }
    units
}

/// Mean of what is known; `None` where nothing is.
pub(crate) fn mean(values: &[f32]) -> Option<f64> {
    let (mut total, mut n_known) = (0.0, 0_u32);
    for value in values.iter().filter(|value| value.is_finite()) {
        total += f64::from(*value);
        n_known += 1;
    }
    (n_known > 0).then(|| total / f64::from(n_known))
}
