//! Ready panels: a row a series and period, a row a series, or a row a period.

use lifecycle::{Day, Frequency, ProductId, Series, Stage};
use regex::Regex;

use crate::cells::Cell;
use crate::refusals::Reason;
use crate::rows::{FactColumns, Parsed, Row, Rules, SeriesColumns, day_word, span, word};
use crate::spill::{Tag, WORDS};

/// Which columns of a panel play which part.
#[derive(Debug)]
pub(crate) struct PanelPlan {
    pub(crate) layout: Layout,
    pub(crate) facts: FactColumns,
    /// What a row or column of the file covers.
    pub(crate) covers: Frequency,
}

/// How a panel is laid out.
#[derive(Debug, Clone)]
pub(crate) enum Layout {
    Long {
        series: SeriesColumns,
        date: usize,
        values: LongColumns,
    },
    /// One row a series; `periods` are the columns with the first day of each, found in the file
    /// by `pattern`.
    BySeries {
        series: SeriesColumns,
        pattern: Regex,
        periods: Vec<(usize, Day)>,
    },
    /// One row a period; `products` are the columns with the product of each, found in the file by
    /// `pattern`.
    ByPeriod {
        date: usize,
        pattern: Regex,
        products: Vec<(usize, ProductId)>,
    },
}

/// The values of a long panel.
#[derive(Debug, Clone)]
pub(crate) struct LongColumns {
    pub(crate) units: usize,
    pub(crate) in_stock: Option<usize>,
    pub(crate) price: Option<usize>,
    pub(crate) promotion: Option<usize>,
    pub(crate) stage: Option<usize>,
}

impl PanelPlan {
    /// The plan for one file: the columns of a wide one are found by their names. Adds them to the
    /// wanted columns; an error says which name is wrong.
    pub(crate) fn for_file(
        &self,
        header: &[String],
        wanted: &mut Vec<String>,
        rules: &mut Rules<'_>,
    ) -> Result<Self, String> {
        let mut layout = self.layout.clone();
        let taken = wanted.clone();
        match &mut layout {
            Layout::Long { .. } => {}
            Layout::BySeries { pattern, periods, .. } => {
                for (name, part) in matching(header, &taken, pattern) {
                    let moment = rules.reading.calendar.moment(&Cell::Text(part));
                    let day = moment.ok_or_else(|| not_a("date", name, part))?.day();
                    periods.push((wanted.len(), day));
                    wanted.push(name.to_owned());
                }
            }
            Layout::ByPeriod { pattern, products, .. } => {
                for (name, part) in matching(header, &taken, pattern) {
                    let Ok(product) = rules.product(part) else { continue };
                    products.push((wanted.len(), product));
                    wanted.push(name.to_owned());
                }
            }
        }
        Ok(Self { layout, facts: self.facts.clone(), covers: self.covers })
    }

    pub(crate) fn read(&self, row: &mut Row<'_, '_>, out: &mut Vec<Parsed>) {
        match &self.layout {
            Layout::Long { series, date, values } => {
                let series = row.series(series);
                let at = row.moment(*date);
                let numbers = values.read(row);
                if let (Some(series), Some(at)) = (series, at) {
                    out.push(self.parsed(series, at.day(), numbers));
                }
            }
            Layout::BySeries { series, periods, .. } => {
                let Some(series) = row.series(series) else { return };
                for &(slot, day) in periods {
                    self.cell(row, (slot, series.clone(), day), out);
                }
            }
            Layout::ByPeriod { date, products, .. } => {
                let Some(at) = row.moment(*date) else { return };
                if !row.problems.is_empty() {
                    return;
                }
                for (slot, product) in products {
                    self.cell(row, (*slot, Series::of(product.clone()), at.day()), out);
                }
            }
        }
    }

    /// One cell of a wide table; a bad one is a period without a row.
    fn cell(
        &self,
        row: &mut Row<'_, '_>,
        (slot, series, day): (usize, Series, Day),
        out: &mut Vec<Parsed>,
    ) {
        let n_problems = row.problems.len();
        let units = units(row, slot);
        row.check_day(day, Some(slot));
        if row.problems.len() == n_problems {
            let numbers = [units, f64::NAN, f64::NAN, f64::NAN, 0.0];
            out.push(self.parsed(series, day, numbers));
        }
    }

    fn parsed(&self, series: Series, day: Day, numbers: [f64; 5]) -> Parsed {
        let (day, n_days) = span(self.covers, day);
        let mut words = [0; WORDS];
        words[0] = day_word(day);
        words[1] = n_days as u64;
        words[2..7].copy_from_slice(&numbers.map(word));
        Parsed { tag: Tag::Panel, series, words, day }
    }
}

/// The columns whose name matches, but for those that have a part already, and the part of each
/// name that group 1 of the pattern holds.
fn matching<'a>(
    header: &'a [String],
    taken: &[String],
    pattern: &Regex,
) -> Vec<(&'a str, &'a str)> {
    let free = header.iter().filter(|name| !taken.contains(name));
    free.filter_map(|name| {
        let found = pattern.captures(name)?;
        let part = found.get(1).map_or(name.as_str(), |part| part.as_str());
        Some((name.as_str(), part))
    })
    .collect()
}

fn not_a(what: &str, name: &str, part: &str) -> String {
    format!("column `{name}` matches the pattern of periods, but `{part}` is no {what}")
}

impl LongColumns {
    /// Units, share in stock, price, share under promotion, and the stage's number (0: none).
    fn read(&self, row: &mut Row<'_, '_>) -> [f64; 5] {
        let units = units(row, self.units);
        let in_stock = row.share(self.in_stock).unwrap_or(f64::NAN);
        // Ready panels write 0 where nothing was sold at any price: unknown, not free.
        let price = row.number(self.price).filter(|&price| price != 0.0);
        if let Some(price) = price {
            row.check_price(price, self.price);
        }
        let promotion = row.share(self.promotion).unwrap_or(f64::NAN);
        [units, in_stock, price.unwrap_or(f64::NAN), promotion, self.stage(row)]
    }

    fn stage(&self, row: &mut Row<'_, '_>) -> f64 {
        let Some(text) = row.text(self.stage) else { return 0.0 };
        let text = text.to_lowercase();
        let Some(index) = Stage::ALL.iter().position(|stage| stage.name() == text) else {
            row.problem(Reason::UnknownStage, self.stage);
            return 0.0;
        };
        (index + 1) as f64
    }
}

/// The units of a cell, NaN where missing.
fn units(row: &mut Row<'_, '_>, slot: usize) -> f64 {
    let Some(units) = row.number(Some(slot)) else {
        return f64::NAN;
    };
    row.units = units;
    if units < 0.0 {
        row.problem(Reason::NegativeQuantity, slot);
    } else if units > row.rules.mapping.limits.units_at_most {
        row.problem(Reason::TooManyUnits, slot);
    }
    units
}
