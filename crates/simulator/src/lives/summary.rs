//! What was made, in the numbers by which a prior is held against a merchant's data: base rates of
//! turns and stages, shares of zeros, levels.

use std::collections::BTreeMap;

use lifecycle::{
    Day, Frequency, OUTLOOK_WEEKS, SHARE_WEEKS, Stage, Stretch, Turn, TurnLimits, turns,
};
use serde::{Deserialize, Serialize};

use super::calendar::Calendar;
use super::one::Life;

/// Turns are counted at every so many weeks.
const ORIGIN_WEEKS: u32 = 13;
/// Shops with fewer counted turns say nothing of how much shops differ.
const SHOP_ROWS_MIN: u64 = 100;

/// Five quantiles of something, .05 to .95.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// One in twenty lies below.
    pub p05: f64,
    /// One in four lies below.
    pub p25: f64,
    /// The median.
    pub p50: f64,
    /// One in four lies above.
    pub p75: f64,
    /// One in twenty lies above.
    pub p95: f64,
}

/// How often each turn came.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TurnRates {
    /// Horizon.
    pub weeks: u32,
    /// Rows that the protocol scores.
    pub rows: u64,
    /// Share of them, by turn.
    pub rates: BTreeMap<String, f64>,
    /// The same by shop: quantiles over shops with a hundred such rows.
    pub by_shop: BTreeMap<String, Quantiles>,
}

/// What was simulated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Lives.
    pub n_lives: u64,
    /// Shops that they belong to.
    pub n_shops: u64,
    /// Files of the panel.
    pub n_shards: u64,
    /// Length of a period.
    pub frequency: Frequency,
    /// First day of the panel.
    pub first_day: Day,
    /// Its periods.
    pub n_periods: usize,
    /// Rows written.
    pub n_rows: u64,
    /// Share of rows whose units are unknown.
    pub missing: f64,
    /// Share of rows without a sale, of those whose product has not ended.
    pub zeros: f64,
    /// The same share by life.
    pub zeros_by_life: Quantiles,
    /// Units a week by life, while it has not ended.
    pub weekly_units: Quantiles,
    /// Share of rows in each stage.
    pub stages: BTreeMap<String, f64>,
    /// How often each turn of a product's share of its shop came, by horizon.
    pub turns: Vec<TurnRates>,
}

/// Turns counted so far, by horizon: rows, and of each turn.
type TurnCounts = [(u64, [u64; 3]); 3];

/// Counts that add up over shards, in their order.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    n_lives: u64,
    n_rows: u64,
    n_missing: u64,
    n_zeros: u64,
    stages: [u64; 5],
    turns: TurnCounts,
    by_shop: Vec<TurnCounts>,
    zeros_by_life: Vec<f32>,
    weekly_units: Vec<f32>,
}

impl Tally {
    /// Counts one shop.
    pub(crate) fn of_shop(lives: &[Life], calendar: &Calendar) -> Self {
        let mut tally = Self::default();
        for life in lives {
            tally.count(life, calendar);
        }
        let mut category = vec![0.0; calendar.n_periods];
        for life in lives {
            for (total, cell) in category[life.first..].iter_mut().zip(&life.cells) {
                *total += if cell.units.is_nan() { 0.0 } else { cell.units };
            }
        }
        let step = calendar.frequency.periods_of_weeks(ORIGIN_WEEKS);
        for life in lives {
            for n_before in (step..calendar.n_periods).step_by(step) {
                tally.count_turns(life, &category, (n_before, calendar));
            }
        }
        tally.by_shop.push(tally.turns);
        tally
    }

    /// Adds the counts of later shops.
    pub(crate) fn absorb(&mut self, other: Self) {
        self.n_lives += other.n_lives;
        self.n_rows += other.n_rows;
        self.n_missing += other.n_missing;
        self.n_zeros += other.n_zeros;
        add(&mut self.stages, other.stages);
        for (sum, counts) in self.turns.iter_mut().zip(other.turns) {
            sum.0 += counts.0;
            add(&mut sum.1, counts.1);
        }
        self.by_shop.extend(other.by_shop);
        self.zeros_by_life.extend(other.zeros_by_life);
        self.weekly_units.extend(other.weekly_units);
    }

    /// Lives counted so far.
    pub(crate) fn n_lives(&self) -> u64 {
        self.n_lives
    }

    fn count(&mut self, life: &Life, calendar: &Calendar) {
        let (mut n_known, mut n_zeros, mut units) = (0_u64, 0_u64, 0.0);
        for cell in &life.cells {
            self.stages[cell.stage.index()] += 1;
            self.n_missing += u64::from(cell.units.is_nan());
            if cell.stage != Stage::Ended && !cell.units.is_nan() {
                n_known += 1;
                n_zeros += u64::from(cell.units == 0.0);
                units += cell.units;
            }
        }
        self.n_lives += 1;
        self.n_rows += life.cells.len() as u64;
        self.n_zeros += n_zeros;
        if n_known > 0 {
            self.zeros_by_life.push(n_zeros as f32 / n_known as f32);
            self.weekly_units.push((units / n_known as f64 / calendar.weeks) as f32);
        }
    }

    /// Counts the turns of a life after the panel's first `n_before` periods.
    fn count_turns(
        &mut self,
        life: &Life,
        category: &[f64],
        (n_before, calendar): (usize, &Calendar),
    ) {
        let frequency = calendar.frequency;
        let n_share = frequency.periods_of_weeks(SHARE_WEEKS);
        let before = stretch(life, category, n_before.saturating_sub(n_share)..n_before);
        for (counts, weeks) in self.turns.iter_mut().zip(OUTLOOK_WEEKS) {
            let end = n_before + frequency.periods_of_weeks(weeks);
            if end > calendar.n_periods {
                continue;
            }
            let n_after = frequency.periods_of_weeks(weeks.min(SHARE_WEEKS));
            let after = stretch(life, category, end - n_after..end);
            if let Some(came) = turns(before, after, TurnLimits::new(frequency, weeks)) {
                counts.0 += 1;
                add(&mut counts.1, came.map(u64::from));
            }
        }
    }

    /// The summary of all that was counted.
    pub(crate) fn summary(&self, calendar: &Calendar, n_shards: usize) -> Summary {
        let of_rows = |count: u64| count as f64 / self.n_rows.max(1) as f64;
        let n_going = self.n_rows - self.stages[Stage::Ended.index()];
        let stages = Stage::ALL.map(|s| (s.name().to_owned(), of_rows(self.stages[s.index()])));
        Summary {
            n_lives: self.n_lives,
            n_shops: self.by_shop.len() as u64,
            n_shards: n_shards as u64,
            frequency: calendar.frequency,
            first_day: calendar.day(0),
            n_periods: calendar.n_periods,
            n_rows: self.n_rows,
            missing: of_rows(self.n_missing),
            zeros: self.n_zeros as f64 / n_going.max(1) as f64,
            zeros_by_life: quantiles(self.zeros_by_life.iter().map(|share| f64::from(*share))),
            weekly_units: quantiles(self.weekly_units.iter().map(|units| f64::from(*units))),
            stages: stages.into_iter().collect(),
            turns: (0..OUTLOOK_WEEKS.len()).map(|outlook| self.turn_rates(outlook)).collect(),
        }
    }

    fn turn_rates(&self, outlook: usize) -> TurnRates {
        let (rows, came) = self.turns[outlook];
        let name = |turn: Turn| turn.name().to_owned();
        let rate = |turn: Turn| (name(turn), came[turn.index()] as f64 / rows.max(1) as f64);
        let by_shop = |turn: Turn| {
            let shops = self.by_shop.iter().map(|counts| counts[outlook]);
            let shops = shops.filter(|(rows, _)| *rows >= SHOP_ROWS_MIN);
            let rates = shops.map(|(rows, came)| came[turn.index()] as f64 / rows as f64);
            (name(turn), quantiles(rates))
        };
        TurnRates {
            weeks: OUTLOOK_WEEKS[outlook],
            rows,
            rates: Turn::ALL.map(rate).into_iter().collect(),
            by_shop: Turn::ALL.map(by_shop).into_iter().collect(),
        }
    }
}

fn add<const N: usize>(sums: &mut [u64; N], counts: [u64; N]) {
    for (sum, count) in sums.iter_mut().zip(counts) {
        *sum += count;
    }
}

/// Units of a life and of its shop over some periods of the panel, where the life was observed.
fn stretch(life: &Life, category: &[f64], periods: std::ops::Range<usize>) -> Stretch {
    let mut stretch = Stretch::default();
    for index in periods {
        let cell = index.checked_sub(life.first).and_then(|row| life.cells.get(row));
        if let Some(cell) = cell.filter(|cell| cell.is_observed()) {
            stretch.units += cell.units;
            stretch.category_units += category[index];
            stretch.n_observed += 1;
        }
    }
    stretch
}

/// Quantiles of some values; all 0 where there are none.
fn quantiles(values: impl Iterator<Item = f64>) -> Quantiles {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| {
        let place = (share * values.len().saturating_sub(1) as f64).round() as usize;
        values.get(place).copied().unwrap_or(0.0)
    };
    Quantiles { p05: at(0.05), p25: at(0.25), p50: at(0.5), p75: at(0.75), p95: at(0.95) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lives::Config;
    use crate::lives::books::Cell;

    fn life(units: &[f64]) -> Life {
        let cell = |units: &f64| Cell {
            units: *units,
            in_stock: f64::NAN,
            price: f64::NAN,
            promotion: f64::NAN,
            stage: Stage::Maturity,
        };
        let cells = units.iter().map(cell).collect();
        Life { category: 0, first: 0, cells, launch: None, end: None }
    }

    #[test]
    fn a_shop_is_counted_by_the_rule_of_turns() {
        let config = Config { lives: 2, frequency: Frequency::Week, seed: 1 };
        let calendar = Calendar { n_periods: 52, ..Calendar::draw(&config) };
        let units =
            |rows: [f64; 4]| -> Vec<f64> { rows.iter().flat_map(|units| [*units; 13]).collect() };
        // The first sells all the time, the second stops, and is gone from the third quarter on.
        let lives = [life(&units([4.0; 4])), life(&units([4.0, 4.0, 0.0, 0.0]))];
        let mut tally = Tally::of_shop(&lives, &calendar);
        tally.absorb(Tally::of_shop(&lives[..1], &calendar));
        let summary = tally.summary(&calendar, 1);
        assert_eq!((summary.n_lives, summary.n_shops, summary.n_rows), (3, 2, 156));
        assert_eq!(summary.zeros, 26.0 / 156.0);
        assert_eq!(summary.weekly_units.p50, 4.0);
        assert_eq!(summary.stages["maturity"], 1.0);
        let quarter = &summary.turns[1];
        // Origins after 13, 26 and 39 weeks: the second life has sold nothing before the last.
        assert_eq!((quarter.weeks, quarter.rows), (13, 8));
        assert_eq!(quarter.rates["silent"], 1.0 / 8.0);
        assert_eq!(quarter.rates["halved"], 1.0 / 8.0);
        assert_eq!(quarter.rates["doubled"], 1.0 / 8.0);
    }
}
