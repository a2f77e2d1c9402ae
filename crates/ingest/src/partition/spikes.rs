//! Periods that sold far more than their series does: flagged for people, never changed.
//!
//! A period is flagged where its units exceed the median of the series' selling periods by eight
//! scaled median absolute deviations, at least by eight square roots of the median (the noise of
//! counts), and the series has sold in eight periods.

use std::cmp::Ordering;

use lifecycle::{Day, Series};
use tables::{PanelRow, Sale, SaleKind};

use super::Work;

/// Spikes named in the report, the largest first.
pub(crate) const SPIKES_MAX: usize = 20;
const DEVIATIONS: f64 = 8.0;
const PERIODS_MIN: usize = 8;
/// Makes the median absolute deviation of normal noise its standard deviation.
const MAD_SCALE: f64 = 1.4826;

/// One flagged period.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Spike {
    pub(crate) series: Series,
    /// First day of the period.
    pub(crate) day: Day,
    pub(crate) units: f64,
    /// Median of the series' selling periods.
    pub(crate) median: f64,
}

impl Spike {
    /// The largest excess first; then by series and day.
    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        let excess = |spike: &Self| spike.units - spike.median;
        excess(other)
            .total_cmp(&excess(self))
            .then_with(|| (&self.series, self.day).cmp(&(&other.series, other.day)))
    }
}

impl Work<'_> {
    /// Looks at the net units of one series' sales, sorted by day.
    pub(super) fn find_spikes_in_sales(&mut self, sales: &[Sale]) {
        let frequency = self.task.frequency;
        let mut periods: Vec<(Day, f64)> = Vec::new();
        for sale in sales.iter().filter(|sale| sale.kind != SaleKind::Return) {
            let day = frequency.first_day(frequency.period_of(sale.day));
            match periods.last_mut() {
                Some((last, units)) if *last == day => *units += sale.units,
                _ => periods.push((day, sale.units)),
            }
        }
        if let Some(first) = sales.first() {
            self.find_spikes(&first.series, &periods);
        }
    }

    /// Looks at one series of a panel.
    pub(super) fn find_spikes_in_panel(&mut self, rows: &[PanelRow]) {
        let periods: Vec<_> = rows.iter().map(|row| (row.day, row.units)).collect();
        if let Some(first) = rows.first() {
            self.find_spikes(&first.series, &periods);
        }
    }

    fn find_spikes(&mut self, series: &Series, periods: &[(Day, f64)]) {
        for (day, units, median) in spikes(periods) {
            self.outcome.n_spikes += 1;
            self.outcome.spikes.push(Spike { series: series.clone(), day, units, median });
        }
        if self.outcome.spikes.len() > 16 * SPIKES_MAX {
            self.outcome.spikes.sort_by(Spike::compare);
            self.outcome.spikes.truncate(SPIKES_MAX);
        }
    }
}

/// Day, units and the series' median of each spike.
fn spikes(periods: &[(Day, f64)]) -> Vec<(Day, f64, f64)> {
    let mut sold: Vec<f64> =
        periods.iter().map(|(_, units)| *units).filter(|&units| units > 0.0).collect();
    if sold.len() < PERIODS_MIN {
        return Vec::new();
    }
    let center = median(&mut sold);
    let mut deviations: Vec<f64> = sold.iter().map(|units| (units - center).abs()).collect();
    let spread = (MAD_SCALE * median(&mut deviations)).max(center.max(1.0).sqrt());
    let limit = center + DEVIATIONS * spread;
    let flagged = periods.iter().filter(|(_, units)| *units > limit);
    flagged.map(|&(day, units)| (day, units, center)).collect()
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        values[middle]
    } else {
        f64::midpoint(values[middle - 1], values[middle])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_out_is_flagged() {
        let mut periods: Vec<(Day, f64)> =
            (0..20).map(|week| (Day(7 * week), 10.0 + f64::from(week % 3))).collect();
        assert!(spikes(&periods).is_empty());
        periods[5].1 = 500.0;
        assert_eq!(spikes(&periods), [(Day(35), 500.0, 11.0)]);
        assert!(spikes(&periods[3..8]).is_empty());
        periods[6].1 = f64::NAN;
        assert_eq!(spikes(&periods).len(), 1);
    }
}
