//! Dated rows of one series to its [`History`] by period.
//!
//! Whatever a channel says of a period was known when the period ended, so that cutting the arrays
//! at an origin is all it takes to see what was known there. Units alone change later: they stand
//! as finally known, and every change that came after its period is a [`Correction`]. Units of dated
//! rows are rounded to a power of two (1/256 of one unit or finer), so that taking a correction out
//! again gives the same bits whatever the correction was.

use std::collections::{BTreeMap, BTreeSet};

use lifecycle::{Day, Frequency, Period, Series, Stage};

use crate::{Channel, Correction, History, Statics};

mod prices;

/// The periods to bin into, and what the whole data set says about each of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Coverage {
    /// Length of a period.
    pub frequency: Frequency,
    /// First whole period.
    pub start: Period,
    /// Number of whole periods.
    pub n_periods: usize,
    /// Periods in which nothing was sold at all because the shop was closed: not observed.
    pub closed: BTreeSet<Period>,
    /// Periods with views or carts of any series: there, no row means none of them.
    pub watched: BTreeSet<Period>,
    /// Units that make "one".
    pub units_per_one: f64,
    /// Every life in the data has ended: a missing row after the last one is silence.
    pub all_lives_ended: bool,
}

impl Coverage {
    /// Whole periods without closures or views, in plain units.
    pub fn new(frequency: Frequency, start: Period, n_periods: usize) -> Self {
        Self {
            frequency,
            start,
            n_periods,
            closed: BTreeSet::new(),
            watched: BTreeSet::new(),
            units_per_one: 1.0,
            all_lives_ended: false,
        }
    }

    /// The whole periods between two days, both included; a partial period at either end is left
    /// out. `None` where there is no whole period.
    pub fn between(frequency: Frequency, first: Day, last: Day) -> Option<Self> {
        let mut start = frequency.period_of(first);
        if frequency.first_day(start) < first {
            start = start.plus(1);
        }
        let mut end = frequency.period_of(last);
        if frequency.last_day(end) > last {
            end = end.plus(-1);
        }
        let n_periods = usize::try_from(end.since(start) + 1).ok().filter(|n| *n > 0)?;
        Some(Self::new(frequency, start, n_periods))
    }

    /// The last whole period.
    pub fn last(&self) -> Period {
        self.start.plus(self.n_periods as i32 - 1)
    }
}

/// What a [`Sold`] row records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SoldKind {
    /// Units left for a customer.
    Sale,
    /// A sale undone; units are negative and the day is the sale's.
    Cancellation,
    /// Units came back on their own day; units are positive.
    Return,
}

/// One order line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sold {
    /// When.
    pub day: Day,
    /// When it was known, never before `day`.
    pub known: Day,
    /// Sale, cancellation or return.
    pub kind: SoldKind,
    /// Units; negative for a cancellation only.
    pub units: f64,
    /// Price paid per unit, NaN where unknown.
    pub price: f64,
    /// Share of the list price taken off, NaN where unknown.
    pub discount: f64,
    /// Which order, where known.
    pub order: Option<u64>,
}

/// Behaviour of customers on one day.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Watched {
    /// When.
    pub day: Day,
    /// Page views.
    pub views: f64,
    /// Additions to a cart.
    pub carts: f64,
}

/// Share in stock over some days.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stocked {
    /// First day it holds for.
    pub day: Day,
    /// Days it holds for.
    pub n_days: i32,
    /// Share of that time in stock, 0 to 1.
    pub in_stock: f64,
}

/// A price and promotion that was announced.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Offered {
    /// First day it holds for.
    pub day: Day,
    /// Days it holds for.
    pub n_days: i32,
    /// When it was announced.
    pub known: Day,
    /// Price per unit, NaN where unknown.
    pub price: f64,
    /// Share of that time under promotion, NaN where unknown.
    pub promotion: f64,
}

/// One cell of a ready panel; every value but the day may be missing (NaN).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Given {
    /// A day of the period.
    pub day: Day,
    /// Units of the period.
    pub units: f64,
    /// Share in stock.
    pub in_stock: f32,
    /// Price per unit.
    pub price: f32,
    /// Share under promotion.
    pub promotion: f32,
    /// The data's own stage label.
    pub stage: Option<Stage>,
}

/// All dated rows of one series.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DatedRows {
    /// Order lines.
    pub sales: Vec<Sold>,
    /// Views and carts.
    pub events: Vec<Watched>,
    /// Stock.
    pub stock: Vec<Stocked>,
    /// Announced prices and promotions.
    pub offers: Vec<Offered>,
    /// Cells of a ready panel; where there are any, units come from them and not from sales.
    pub given: Vec<Given>,
}

/// Bins the rows of one series; `None` where none of its life is covered.
///
/// The arrays start at the launch if it is known (an earlier sale comes first), else when the first
/// sale was known, at the first view or day in stock, or at the first cell of a ready panel. From
/// there to the end, a period without sales has 0 units if the units come from dated rows, and NaN
/// if they come from a ready panel or the shop was closed.
pub fn bin(
    coverage: &Coverage,
    series: Series,
    statics: Statics,
    rows: &DatedRows,
) -> Option<History> {
    let first = first_period(coverage, &statics, rows)?.max(coverage.start);
    let n_periods = usize::try_from(coverage.last().since(first) + 1).ok().filter(|n| *n > 0)?;
    let grid = Grid { coverage, start: first, n_periods };
    let mut history = History {
        series,
        statics,
        start: first,
        channels: std::array::from_fn(|_| Vec::new()),
        corrections: Vec::new(),
        given_stage: Vec::new(),
    };
    let (mut prices, mut promotions) = prices::paid(&grid, &rows.sales);
    if rows.given.is_empty() {
        bin_sales(&grid, &rows.sales, &mut history);
    } else {
        bin_given(&grid, &rows.given, &mut history, (&mut prices, &mut promotions));
    }
    bin_events(&grid, &rows.events, &mut history);
    bin_stock(&grid, &rows.stock, &mut history);
    prices::fill_from_offers(&grid, &rows.offers, &mut prices, &mut promotions);
    prices::carry_forward(&mut prices);
    history.channels[Channel::Price as usize] = unless_missing(prices);
    history.channels[Channel::Promotion as usize] = unless_missing(promotions);
    Some(history)
}

/// The periods of one series.
struct Grid<'a> {
    coverage: &'a Coverage,
    start: Period,
    n_periods: usize,
}

impl Grid<'_> {
    fn period(&self, day: Day) -> Period {
        self.coverage.frequency.period_of(day)
    }

    fn index(&self, period: Period) -> Option<usize> {
        usize::try_from(period.since(self.start)).ok().filter(|index| *index < self.n_periods)
    }

    fn is_closed(&self, index: usize) -> bool {
        self.coverage.closed.contains(&self.start.plus(index as i32))
    }

    /// The periods that `n_days` from `day` on touch, with the number of days in each.
    fn overlaps(&self, day: Day, n_days: i32) -> impl Iterator<Item = (usize, i32)> + use<'_> {
        let last_day = Day(day.0.saturating_add(n_days.max(1) - 1));
        let frequency = self.coverage.frequency;
        let first = self.period(day).max(self.start);
        let last = self.period(last_day).min(self.start.plus(self.n_periods as i32 - 1));
        (first.0..=last.0).filter_map(move |number| {
            let period = Period(number);
            let from = frequency.first_day(period).max(day);
            let to = frequency.last_day(period).min(last_day);
            Some((self.index(period)?, to.0 - from.0 + 1))
        })
    }
}

fn first_period(coverage: &Coverage, statics: &Statics, rows: &DatedRows) -> Option<Period> {
    let period = |day| coverage.frequency.period_of(day);
    let sold = first_sold(coverage, &rows.sales);
    let given = rows.given.iter().map(|cell| period(cell.day)).min();
    if let Some(launch) = statics.launch {
        return [sold, given].into_iter().flatten().chain([launch]).min();
    }
    let watched = rows.events.iter().map(|row| period(row.day)).min();
    let stocked = rows.stock.iter().filter(|row| row.in_stock > 0.0).map(|row| period(row.day));
    [sold, given, watched, stocked.min()].into_iter().flatten().min()
}

/// The first period in which it was known that more was sold than undone.
///
/// Not the period of that sale: had it been booked late, nobody would have known of the series.
fn first_sold(coverage: &Coverage, sales: &[Sold]) -> Option<Period> {
    let mut units = BTreeMap::<Period, f64>::new();
    for sale in sales.iter().filter(|sale| sale.kind != SoldKind::Return) {
        *units.entry(coverage.frequency.period_of(sale.known)).or_default() += sale.units;
    }
    units.into_iter().find(|(_, units)| *units > 0.0).map(|(period, _)| period)
}

/// Units, orders and returns of order lines.
fn bin_sales(grid: &Grid<'_>, sales: &[Sold], history: &mut History) {
    let quantum = quantum(grid.coverage.units_per_one);
    let quantised = |units: f64| (units / quantum).round() * quantum;
    let mut units = vec![0.0; grid.n_periods];
    let mut returns = vec![0.0; grid.n_periods];
    let mut orders = vec![0.0; grid.n_periods];
    let mut units_by_order = BTreeMap::<(usize, u64), f64>::new();
    let mut changes = BTreeMap::<(usize, Period), f64>::new();
    for sale in sales {
        let known = grid.period(sale.known);
        if sale.kind == SoldKind::Return {
            if let Some(index) = grid.index(known) {
                returns[index] += sale.units;
            }
            continue;
        }
        let Some(index) = grid.index(grid.period(sale.day)) else { continue };
        if known > grid.start.plus(index as i32) {
            *changes.entry((index, known)).or_default() += quantised(sale.units);
            continue;
        }
        units[index] += quantised(sale.units);
        match sale.order {
            Some(order) => *units_by_order.entry((index, order)).or_default() += sale.units,
            None if sale.kind == SoldKind::Sale => orders[index] += 1.0,
            None => {}
        }
    }
    for ((index, _), units) in units_by_order {
        orders[index] += f64::from(u8::from(units > 0.0));
    }
    for value in &mut units {
        *value = f64::max(*value, 0.0);
    }
    history.corrections = corrections(grid, &changes, &mut units);
    for index in (0..grid.n_periods).filter(|index| grid.is_closed(*index)) {
        units[index] = f64::NAN;
        orders[index] = f64::NAN;
        returns[index] = f64::NAN;
    }
    history.channels[Channel::Units as usize] = narrow(&units);
    history.channels[Channel::Orders as usize] = narrow(&orders);
    history.channels[Channel::Returns as usize] = narrow(&returns);
}

/// Applies later changes to the units of their periods, in the order in which they became known,
/// and keeps each as it came out: units never fall below zero on the way.
fn corrections(
    grid: &Grid<'_>,
    changes: &BTreeMap<(usize, Period), f64>,
    units: &mut [f64],
) -> Vec<Correction> {
    let mut corrections = Vec::new();
    for (&(index, known), change) in changes {
        let before = units[index];
        units[index] = (before + change).max(0.0);
        let change = units[index] - before;
        if change != 0.0 && !grid.is_closed(index) {
            let period = grid.start.plus(index as i32);
            corrections.push(Correction { period, known, change: change as f32 });
        }
    }
    corrections
}

/// The power of two that units are multiples of.
fn quantum(units_per_one: f64) -> f64 {
    let one = if units_per_one.is_finite() && units_per_one > 0.0 { units_per_one } else { 1.0 };
    (one.log2().floor() - 8.0).exp2()
}

/// Units, stock, price, promotion and stage of a ready panel.
fn bin_given(
    grid: &Grid<'_>,
    cells: &[Given],
    history: &mut History,
    (prices, promotions): (&mut [f32], &mut [f32]),
) {
    let mut units = vec![f64::NAN; grid.n_periods];
    let mut stages = vec![u8::MAX; grid.n_periods];
    let mut shares = [(); 3].map(|()| vec![Mean::default(); grid.n_periods]);
    for cell in cells {
        let Some(index) = grid.index(grid.period(cell.day)) else { continue };
        let is_first = shares[0][index].n_rows == 0;
        let value = if cell.units < 0.0 { f64::NAN } else { cell.units };
        units[index] = if is_first { value } else { units[index] + value };
        for (share, value) in shares.iter_mut().zip([cell.in_stock, cell.price, cell.promotion]) {
            share[index].add(f64::from(value), 1.0);
        }
        if let Some(stage) = cell.stage {
            stages[index] = stage.index() as u8;
        }
    }
    if grid.coverage.all_lives_ended {
        end_life(grid, history.statics.end, &mut units, &mut stages);
    }
    let [in_stock, price, promotion] = shares;
    history.channels[Channel::Units as usize] = narrow(&units);
    history.channels[Channel::InStock as usize] =
        unless_missing(in_stock.iter().map(|mean| mean.value().clamp(0.0, 1.0)).collect());
    for index in 0..grid.n_periods {
        prices[index] = positive(price[index].value());
        promotions[index] = promotion[index].value().clamp(0.0, 1.0);
    }
    if stages.iter().any(|stage| *stage != u8::MAX) {
        history.given_stage = stages;
    }
}

/// Where every life has ended, missing cells after the last one are silence.
fn end_life(grid: &Grid<'_>, end: Option<Period>, units: &mut [f64], stages: &mut [u8]) {
    let last_given = units.iter().rposition(|value| value.is_finite());
    let last = end.map_or(last_given, |end| grid.index(end)).unwrap_or(grid.n_periods);
    let has_stages = stages.iter().any(|stage| *stage != u8::MAX);
    for index in last.saturating_add(1)..grid.n_periods {
        if units[index].is_nan() {
            units[index] = 0.0;
        }
        if has_stages && stages[index] == u8::MAX {
            stages[index] = Stage::Ended.index() as u8;
        }
    }
}

fn bin_events(grid: &Grid<'_>, events: &[Watched], history: &mut History) {
    if grid.coverage.watched.is_empty() {
        return;
    }
    let mut sums = [vec![0.0; grid.n_periods], vec![0.0; grid.n_periods]];
    for row in events {
        let Some(index) = grid.index(grid.period(row.day)) else { continue };
        for (sum, value) in sums.iter_mut().zip([row.views, row.carts]) {
            sum[index] += if value.is_finite() { value.max(0.0) } else { 0.0 };
        }
    }
    for sum in &mut sums {
        for (index, value) in sum.iter_mut().enumerate() {
            if !grid.coverage.watched.contains(&grid.start.plus(index as i32)) {
                *value = f64::NAN;
            }
        }
    }
    history.channels[Channel::Views as usize] = unless_missing(narrow(&sums[0]));
    history.channels[Channel::Carts as usize] = unless_missing(narrow(&sums[1]));
}

/// A row that covers several periods is taken to be known from its first day on.
fn bin_stock(grid: &Grid<'_>, stock: &[Stocked], history: &mut History) {
    if stock.is_empty() {
        return;
    }
    let mut means = vec![Mean::default(); grid.n_periods];
    for row in stock {
        for (index, n_days) in grid.overlaps(row.day, row.n_days) {
            means[index].add(row.in_stock, f64::from(n_days));
        }
    }
    let given = &mut history.channels[Channel::InStock as usize];
    let mut in_stock: Vec<f32> = means.iter().map(|mean| mean.value().clamp(0.0, 1.0)).collect();
    for (value, given) in in_stock.iter_mut().zip(given.iter()) {
        if value.is_nan() {
            *value = *given;
        }
    }
    *given = unless_missing(in_stock);
}

/// A weighted mean of the values that are not missing.
#[derive(Debug, Clone, Copy, Default)]
struct Mean {
    sum: f64,
    weight: f64,
    n_rows: usize,
}

impl Mean {
    fn add(&mut self, value: f64, weight: f64) {
        self.n_rows += 1;
        if value.is_finite() {
            self.sum += value * weight;
            self.weight += weight;
        }
    }

    fn value(self) -> f32 {
        if self.weight > 0.0 { (self.sum / self.weight) as f32 } else { f32::NAN }
    }
}

fn positive(price: f32) -> f32 {
    if price > 0.0 { price } else { f32::NAN }
}

fn narrow(values: &[f64]) -> Vec<f32> {
    values.iter().map(|value| *value as f32).collect()
}

fn unless_missing(values: Vec<f32>) -> Vec<f32> {
    if values.iter().all(|value| value.is_nan()) { Vec::new() } else { values }
}

#[cfg(test)]
mod tests;
