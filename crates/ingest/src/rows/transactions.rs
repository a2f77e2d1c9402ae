//! Order lines and returns.

use crate::identity::{Fingerprint, Whose};
use crate::mapping::Filter;
use crate::mapping::raw::Negative;
use crate::moments::Moment;
use crate::refusals::Reason;
use crate::rows::{FactColumns, Parsed, Row, SeriesColumns, word};
use crate::spill::{Tag, WORDS};

/// Which columns of order lines play which part.
#[derive(Debug)]
pub(crate) struct LinePlan {
    pub(crate) series: SeriesColumns,
    pub(crate) date: usize,
    pub(crate) quantity: Option<usize>,
    pub(crate) price: Option<usize>,
    /// Price of the whole line.
    pub(crate) total: Option<usize>,
    pub(crate) discount: Option<usize>,
    /// What was taken off the whole line.
    pub(crate) discount_amount: Option<usize>,
    pub(crate) order: Option<usize>,
    pub(crate) customer: Option<usize>,
    pub(crate) facts: FactColumns,
    pub(crate) cancelled: Option<Filter>,
    pub(crate) negative: Negative,
    /// All rows are returns.
    pub(crate) are_returns: bool,
    pub(crate) removes_duplicates: bool,
}

/// What a line records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LineKind {
    Sale,
    Cancellation,
    Return,
}

/// An order line between the passes; fields in the order in which lines are sorted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Line {
    pub(crate) at: Moment,
    pub(crate) kind: LineKind,
    /// Above zero, whatever the kind.
    pub(crate) units: f64,
    pub(crate) price: f64,
    pub(crate) discount: f64,
    /// Hash of the order's id, 0 for none.
    pub(crate) order: u64,
    /// Hash of the customer's id, 0 for none.
    pub(crate) customer: u64,
    /// Of the texts mapped beside these.
    pub(crate) texts: u64,
    /// Equal lines are one line.
    pub(crate) removes_duplicates: bool,
}

impl Line {
    pub(crate) fn words(&self) -> [u64; WORDS] {
        let flags = self.kind as u64 | u64::from(self.removes_duplicates) << 8;
        [
            self.at.0 as u64,
            flags,
            word(self.units),
            word(self.price),
            word(self.discount),
            self.order,
            self.customer,
            self.texts,
        ]
    }

    pub(crate) fn of(words: [u64; WORDS]) -> Self {
        let [at, flags, units, price, discount, order, customer, texts] = words;
        Self {
            at: Moment(at as i64),
            kind: match flags & 0xff {
                0 => LineKind::Sale,
                1 => LineKind::Cancellation,
                _ => LineKind::Return,
            },
            units: f64::from_bits(units),
            price: f64::from_bits(price),
            discount: f64::from_bits(discount),
            order,
            customer,
            texts,
            removes_duplicates: flags >> 8 == 1,
        }
    }
}

impl LinePlan {
    pub(crate) fn read(&self, row: &mut Row<'_, '_>) -> Option<Parsed> {
        let series = row.series(&self.series);
        let at = row.moment(self.date);
        let quantity = self.quantity(row);
        let kind = self.kind(row, quantity);
        let price = self.price(row, quantity);
        let discount = self.discount(row, price, quantity);
        if !row.problems.is_empty() {
            return None;
        }
        let (series, at) = (series?, at?);
        let line = Line {
            at,
            kind,
            units: quantity?.abs(),
            price: price.unwrap_or(f64::NAN),
            discount: discount.unwrap_or(f64::NAN),
            order: row.hash(Whose::Order, self.order),
            customer: row.hash(Whose::Customer, self.customer),
            texts: self.texts(row),
            removes_duplicates: self.removes_duplicates,
        };
        Some(Parsed { tag: Tag::Line, series, words: line.words(), day: at.day() })
    }

    fn quantity(&self, row: &mut Row<'_, '_>) -> Option<f64> {
        let Some(slot) = self.quantity else {
            row.units = 1.0;
            return Some(1.0);
        };
        let n_problems = row.problems.len();
        let Some(quantity) = row.number(Some(slot)) else {
            if row.problems.len() == n_problems {
                row.problem(Reason::NoQuantity, slot);
            }
            return None;
        };
        row.units = quantity;
        if quantity == 0.0 {
            row.problem(Reason::ZeroQuantity, slot);
        } else if quantity.abs() > row.rules.mapping.limits.units_at_most {
            row.problem(Reason::TooManyUnits, slot);
        }
        Some(quantity)
    }

    fn kind(&self, row: &mut Row<'_, '_>, quantity: Option<f64>) -> LineKind {
        let is_negative = quantity.is_some_and(|quantity| quantity < 0.0);
        let is_cancelled = self.cancelled.as_ref().is_some_and(|filter| {
            row.cells[filter.slot].text().is_some_and(|text| filter.pattern.is_match(text.trim()))
        });
        if self.are_returns {
            return LineKind::Return;
        }
        if is_cancelled {
            return LineKind::Cancellation;
        }
        match self.negative {
            _ if !is_negative => LineKind::Sale,
            Negative::Cancellation => LineKind::Cancellation,
            Negative::Return => LineKind::Return,
            Negative::Refuse => {
                row.problem(Reason::NegativeQuantity, self.quantity);
                LineKind::Sale
            }
        }
    }

    /// The price of a unit, or the line's price over its units.
    fn price(&self, row: &mut Row<'_, '_>, quantity: Option<f64>) -> Option<f64> {
        if self.price.is_some() {
            return row.price(self.price);
        }
        let total = row.number(self.total)?;
        let price = total.abs() / quantity.filter(|&quantity| quantity != 0.0)?.abs();
        row.check_price(price, self.total);
        Some(price)
    }

    /// The share taken off, or the amount taken off over the list price of the line.
    fn discount(
        &self,
        row: &mut Row<'_, '_>,
        price: Option<f64>,
        quantity: Option<f64>,
    ) -> Option<f64> {
        if self.discount.is_some() {
            return row.share(self.discount);
        }
        let amount = row.number(self.discount_amount)?.abs();
        let list = price? * quantity?.abs() + amount;
        (list > 0.0).then(|| amount / list)
    }

    /// A fingerprint of the texts that an equal row must share beyond the line's own fields.
    fn texts(&self, row: &Row<'_, '_>) -> u64 {
        if !self.removes_duplicates {
            return 0;
        }
        let slots = self.facts.slots().chain(self.cancelled.as_ref().map(|filter| filter.slot));
        let mut texts = Fingerprint::new();
        slots.for_each(|slot| texts.add(&row.cells[slot].text().unwrap_or_default()));
        texts.finish()
    }
}
