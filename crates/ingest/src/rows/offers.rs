//! Prices and promotions that were known in advance.

use lifecycle::{Day, Frequency};

use crate::rows::{Parsed, Row, SeriesColumns, day_word, span, word};
use crate::spill::{Tag, WORDS};

/// Which columns of offers play which part.
#[derive(Debug)]
pub(crate) struct OfferPlan {
    pub(crate) series: SeriesColumns,
    pub(crate) date: usize,
    pub(crate) announced: Option<usize>,
    pub(crate) announced_days_before: i32,
    pub(crate) price: Option<usize>,
    pub(crate) promotion: Option<usize>,
    pub(crate) covers: Frequency,
}

impl OfferPlan {
    pub(crate) fn read(&self, row: &mut Row<'_, '_>) -> Option<Parsed> {
        let series = row.series(&self.series);
        // Offers may lie after the last day of sales: that is what they are for.
        let day = row.day(Some(self.date));
        if day.is_none() && row.problems.is_empty() {
            row.problem(crate::refusals::Reason::NoDate, self.date);
        }
        let announced = row.day(self.announced);
        let price = row.price(self.price);
        let promotion = row.share(self.promotion);
        let (day, n_days) = span(self.covers, day?);
        // Announced at an unknown time counts as known when it begins.
        let known = announced.unwrap_or(Day(day.0 - self.announced_days_before));
        let mut words = [0; WORDS];
        words[..5].copy_from_slice(&[
            day_word(day),
            n_days as u64,
            day_word(known),
            word(price.unwrap_or(f64::NAN)),
            word(promotion.unwrap_or(f64::NAN)),
        ]);
        Some(Parsed { tag: Tag::Offer, series: series?, words, day })
    }
}
