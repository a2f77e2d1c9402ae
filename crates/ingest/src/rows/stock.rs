//! Stock: the share of a period in stock, or a level that is in stock above zero.

use lifecycle::Frequency;

use crate::refusals::Reason;
use crate::rows::{Parsed, Row, SeriesColumns, day_word, span, word};
use crate::spill::{Tag, WORDS};

/// Which columns of stock play which part.
#[derive(Debug)]
pub(crate) struct StockPlan {
    pub(crate) series: SeriesColumns,
    pub(crate) date: usize,
    pub(crate) in_stock: Option<usize>,
    pub(crate) level: Option<usize>,
    pub(crate) covers: Frequency,
}

impl StockPlan {
    pub(crate) fn read(&self, row: &mut Row<'_, '_>) -> Option<Parsed> {
        let series = row.series(&self.series);
        let at = row.moment(self.date);
        let n_problems = row.problems.len();
        let in_stock = match self.in_stock {
            Some(slot) => row.share(Some(slot)),
            None => row.number(self.level).map(|level| f64::from(u8::from(level > 0.0))),
        };
        if in_stock.is_none() && row.problems.len() == n_problems {
            row.problem(Reason::NoQuantity, self.in_stock.or(self.level));
        }
        let (day, n_days) = span(self.covers, at?.day());
        let mut words = [0; WORDS];
        words[..3].copy_from_slice(&[day_word(day), n_days as u64, word(in_stock?)]);
        Some(Parsed { tag: Tag::Stock, series: series?, words, day })
    }
}
