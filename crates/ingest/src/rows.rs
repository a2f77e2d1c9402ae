//! What the cells of one row mean, by kind of table.
//!
//! A plan knows which wanted column plays which part. Reading a row collects *all* that is wrong
//! with it, so that the quality report can count every finding, not only the first.

mod events;
mod offers;
mod panel;
mod products;
mod stock;
mod transactions;

use std::collections::BTreeMap;

use lifecycle::{Day, Frequency, LocationId, Period, ProductId, Series};

pub(crate) use events::{EventPlan, KindNames};
pub(crate) use offers::OfferPlan;
pub(crate) use panel::{Layout, LongColumns, PanelPlan};
pub(crate) use products::{FactColumns, Facts, ProductPlan};
pub(crate) use stock::StockPlan;
pub(crate) use transactions::{Line, LineKind, LinePlan};

use crate::cells::{Cell, NotReadable, Reading};
use crate::identity::{Identity, Whose};
use crate::mapping::{Mapping, ProductIds};
use crate::moments::Moment;
use crate::refusals::{Problem, Reason};
use crate::spill::{Tag, WORDS};

/// Bytes of a product or location id at most.
const ID_BYTES_MAX: usize = 1000;
/// Verdicts on product ids remembered at a time.
const VERDICTS_MAX: usize = 1 << 18;
/// 1900-01-01.
const FIRST_CREDIBLE_DAY: Day = Day(-25_567);
/// 2200-01-01: no mapping's data can be later.
const LAST_CREDIBLE_DAY: Day = Day(84_006);

/// Which columns play which part, by kind of table.
#[derive(Debug)]
pub(crate) enum Plan {
    Lines(LinePlan),
    Events(EventPlan),
    Stock(StockPlan),
    Offers(OfferPlan),
    Products(ProductPlan),
    Panel(PanelPlan),
}

/// The columns that name a series.
#[derive(Debug, Clone)]
pub(crate) struct SeriesColumns {
    pub(crate) product: usize,
    pub(crate) location: Vec<usize>,
}

/// A row understood: ready to be spilled.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Parsed {
    pub(crate) tag: Tag,
    pub(crate) series: Series,
    pub(crate) words: [u64; WORDS],
    pub(crate) day: Day,
}

impl Plan {
    /// Reads one row into as many entries as it holds.
    pub(crate) fn read(&self, row: &mut Row<'_, '_>, out: &mut Vec<Parsed>) {
        match self {
            Self::Lines(plan) => out.extend(plan.read(row)),
            Self::Events(plan) => plan.read(row, out),
            Self::Stock(plan) => out.extend(plan.read(row)),
            Self::Offers(plan) => out.extend(plan.read(row)),
            Self::Products(plan) => plan.check(row),
            Self::Panel(plan) => plan.read(row, out),
        }
    }

    /// The columns that say what a product is.
    pub(crate) fn facts(&self) -> Option<&FactColumns> {
        match self {
            Self::Lines(plan) => Some(&plan.facts),
            Self::Products(plan) => Some(&plan.facts),
            Self::Panel(plan) => Some(&plan.facts),
            Self::Events(_) | Self::Stock(_) | Self::Offers(_) => None,
        }
        .filter(|facts| !facts.is_empty())
    }

    /// Whether a bad cell costs itself and not its row, for the row holds many values.
    pub(crate) fn is_wide(&self) -> bool {
        matches!(self, Self::Panel(plan) if !matches!(plan.layout, Layout::Long { .. }))
    }
}

/// What holds for all rows of a table of files.
#[derive(Debug)]
pub(crate) struct Rules<'m> {
    pub(crate) mapping: &'m Mapping,
    pub(crate) reading: Reading,
    pub(crate) identity: Identity,
    verdicts: BTreeMap<String, Result<ProductId, Reason>>,
    last: Option<(String, Result<ProductId, Reason>)>,
}

impl<'m> Rules<'m> {
    pub(crate) fn new(mapping: &'m Mapping, reading: Reading, identity: Identity) -> Self {
        Self { mapping, reading, identity, verdicts: BTreeMap::new(), last: None }
    }

    fn product(&mut self, written: &str) -> Result<ProductId, Reason> {
        if let Some((last, verdict)) = &self.last
            && last == written
        {
            return verdict.clone();
        }
        if self.verdicts.len() >= VERDICTS_MAX {
            self.verdicts.clear();
        }
        let known = self.verdicts.get(written).cloned();
        let verdict = known.unwrap_or_else(|| {
            let verdict = verdict(&self.mapping.product_ids, written);
            self.verdicts.insert(written.to_owned(), verdict.clone());
            verdict
        });
        self.last = Some((written.to_owned(), verdict.clone()));
        verdict
    }
}

/// The id as the data set will write it, or why it is none.
fn verdict(rules: &ProductIds, written: &str) -> Result<ProductId, Reason> {
    let mut id = if rules.trim { written.trim() } else { written }.to_owned();
    if rules.upper_case {
        id = id.to_uppercase();
    }
    if id.is_empty() {
        return Err(Reason::NoProduct);
    }
    if id.len() > ID_BYTES_MAX {
        return Err(Reason::LongProduct);
    }
    let is_included =
        rules.include.is_empty() || rules.include.iter().any(|pattern| pattern.is_match(&id));
    if !is_included || rules.exclude.iter().any(|pattern| pattern.is_match(&id)) {
        return Err(Reason::NotAProduct);
    }
    Ok(ProductId::from(id))
}

/// One row while it is read.
pub(crate) struct Row<'a, 'r> {
    pub(crate) cells: &'a [Cell<'a>],
    pub(crate) rules: &'a mut Rules<'r>,
    /// All that is wrong with it, the reason for refusal first.
    pub(crate) problems: &'a mut Vec<Problem>,
    /// Its units, as far as they can be read.
    pub(crate) units: f64,
}

impl Row<'_, '_> {
    pub(crate) fn problem(&mut self, reason: Reason, slot: impl Into<Option<usize>>) {
        self.problems.push(Problem { reason, slot: slot.into() });
    }

    pub(crate) fn product(&mut self, slot: usize) -> Option<ProductId> {
        let Some(text) = self.rules.reading.text(&self.cells[slot]) else {
            self.problem(Reason::NoProduct, slot);
            return None;
        };
        match self.rules.product(&text) {
            Ok(product) => Some(product),
            Err(reason) => {
                self.problem(reason, slot);
                None
            }
        }
    }

    pub(crate) fn series(&mut self, columns: &SeriesColumns) -> Option<Series> {
        let product = self.product(columns.product)?;
        let location = self.location(&columns.location);
        Some(Series { product, location })
    }

    /// The columns' texts joined by `/`; `None` where nothing stands in any of them.
    pub(crate) fn location(&mut self, slots: &[usize]) -> Option<LocationId> {
        let parts: Vec<_> = slots.iter().map(|&slot| self.text(Some(slot))).collect();
        if parts.iter().all(Option::is_none) {
            return None;
        }
        if let [Some(part)] = &parts[..] {
            return Some(LocationId::from(truncated(part)));
        }
        let escaped: Vec<String> = parts
            .iter()
            .map(|part| {
                part.as_deref().unwrap_or_default().replace('\\', "\\\\").replace('/', "\\/")
            })
            .collect();
        Some(LocationId::from(truncated(&escaped.join("/"))))
    }

    pub(crate) fn text(&self, slot: Option<usize>) -> Option<String> {
        self.rules.reading.text(&self.cells[slot?]).map(std::borrow::Cow::into_owned)
    }

    pub(crate) fn hash(&mut self, whose: Whose, slot: Option<usize>) -> u64 {
        let id = slot.and_then(|slot| self.rules.reading.text(&self.cells[slot]));
        id.and_then(|id| self.rules.identity.hash(whose, &id)).unwrap_or(0)
    }

    pub(crate) fn number(&mut self, slot: Option<usize>) -> Option<f64> {
        let number = self.rules.reading.number(&self.cells[slot?]);
        self.readable(number, Reason::UnreadableNumber, slot)
    }

    /// A number between 0 and 1.
    pub(crate) fn share(&mut self, slot: Option<usize>) -> Option<f64> {
        let share = self.rules.reading.share(&self.cells[slot?]);
        let share = self.readable(share, Reason::UnreadableNumber, slot)?;
        if !(0.0..=1.0).contains(&share) {
            self.problem(Reason::ShareOutside, slot);
        }
        Some(share)
    }

    /// A price within the mapping's limits.
    pub(crate) fn price(&mut self, slot: Option<usize>) -> Option<f64> {
        let price = self.number(slot)?;
        self.check_price(price, slot);
        Some(price)
    }

    pub(crate) fn check_price(&mut self, price: f64, slot: Option<usize>) {
        let limits = self.rules.mapping.limits;
        if price <= limits.price_above {
            self.problem(Reason::PriceTooLow, slot);
        } else if price > limits.price_at_most {
            self.problem(Reason::PriceTooHigh, slot);
        }
    }

    /// When the row happened: must be there, and within the days of the mapping.
    pub(crate) fn moment(&mut self, slot: usize) -> Option<Moment> {
        let moment = self.rules.reading.moment(&self.cells[slot]);
        let moment = self.readable(moment, Reason::UnreadableDate, Some(slot));
        let Some(moment) = moment else {
            if self.problems.last().is_none_or(|last| last.slot != Some(slot)) {
                self.problem(Reason::NoDate, slot);
            }
            return None;
        };
        let day = moment.day();
        self.check_day(day, Some(slot));
        (FIRST_CREDIBLE_DAY..=LAST_CREDIBLE_DAY).contains(&day).then_some(moment)
    }

    /// A day that may be missing, and may lie outside those of the mapping.
    pub(crate) fn day(&mut self, slot: Option<usize>) -> Option<Day> {
        let moment = self.rules.reading.moment(&self.cells[slot?]);
        let day = self.readable(moment, Reason::UnreadableDate, slot)?.day();
        if day < FIRST_CREDIBLE_DAY {
            self.problem(Reason::Before1900, slot);
            return None;
        }
        if day > LAST_CREDIBLE_DAY {
            self.problem(Reason::AfterLastDay, slot);
            return None;
        }
        Some(day)
    }

    pub(crate) fn check_day(&mut self, day: Day, slot: Option<usize>) {
        let mapping = self.rules.mapping;
        if day < FIRST_CREDIBLE_DAY {
            self.problem(Reason::Before1900, slot);
        } else if mapping.first_day.is_some_and(|first| day < first) {
            self.problem(Reason::BeforeFirstDay, slot);
        } else if day > mapping.last_day.unwrap_or(LAST_CREDIBLE_DAY) {
            self.problem(Reason::AfterLastDay, slot);
        }
    }

    fn readable<T>(
        &mut self,
        read: Result<Option<T>, NotReadable>,
        reason: Reason,
        slot: Option<usize>,
    ) -> Option<T> {
        if read.is_err() {
            self.problem(reason, slot);
        }
        read.ok().flatten()
    }
}

fn truncated(text: &str) -> String {
    let end = text.floor_char_boundary(ID_BYTES_MAX);
    text[..end].to_owned()
}

/// First day and number of days of the period of length `covers` that starts on, or holds, `day`.
pub(crate) fn span(covers: Frequency, day: Day) -> (Day, i32) {
    match covers {
        Frequency::Day => (day, 1),
        // A shop's week may start on any day; a month is a calendar month.
        Frequency::Week => (day, 7),
        Frequency::Month => {
            let month: Period = covers.period_of(day);
            let first = covers.first_day(month);
            (first, covers.last_day(month).0 - first.0 + 1)
        }
    }
}

/// A float as a word, and back; every NaN is the same.
pub(crate) fn word(value: f64) -> u64 {
    if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() }
}

/// A day as a word.
pub(crate) fn day_word(day: Day) -> u64 {
    i64::from(day.0) as u64
}

/// The day of a word.
pub(crate) fn day_of(word: u64) -> Day {
    Day(word as i64 as i32)
}
