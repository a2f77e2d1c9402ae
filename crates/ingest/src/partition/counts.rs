//! Events, stock and offers of a partition.

use tables::{EventCount, Offer, Stock};

use super::{Work, compare, series_of};
use crate::error::Error;
use crate::rows::day_of;
use crate::spill::{Bucketful, Tag};

impl Work<'_> {
    /// Events of a day become one row of counts.
    pub(super) fn events(&mut self, rows: &mut Bucketful) -> Result<(), Error> {
        let mut entries = std::mem::take(&mut rows.entries[Tag::Event as usize]);
        entries.sort_unstable_by(|a, b| {
            // By day, not by its bits: days before 1970 come first.
            let day = |entry: &crate::spill::Entry| day_of(entry.words[0]);
            a.series.cmp(&b.series).then(day(a).cmp(&day(b))).then(compare(a, b))
        });
        let same = |a: &crate::spill::Entry, b: &crate::spill::Entry| {
            (a.series, a.words[0]) == (b.series, b.words[0])
        };
        let counts: Vec<EventCount> = entries
            .chunk_by(same)
            .map(|group| {
                let sum =
                    |word: usize| group.iter().map(|entry| f64::from_bits(entry.words[word])).sum();
                EventCount {
                    series: series_of(rows, &group[0]),
                    day: day_of(group[0].words[0]),
                    views: sum(1),
                    carts: sum(2),
                    wishes: sum(3),
                }
            })
            .collect();
        self.write(Tag::Event, "events", &counts)
    }

    pub(super) fn stock(&mut self, rows: &mut Bucketful) -> Result<(), Error> {
        let mut stock: Vec<(u32, Stock)> = self
            .resolved(rows, Tag::Stock, 2)
            .iter()
            .map(|entry| {
                let row = Stock {
                    series: series_of(rows, entry),
                    day: day_of(entry.words[0]),
                    n_days: entry.words[1] as i32,
                    in_stock: f64::from_bits(entry.words[2]),
                };
                (entry.series, row)
            })
            .collect();
        stock.sort_by_key(|(series, row)| (*series, row.day, row.n_days));
        let stock: Vec<Stock> = stock.into_iter().map(|(_, row)| row).collect();
        self.write(Tag::Stock, "stock", &stock)
    }

    /// Of one period there may be several offers, announced at different times.
    pub(super) fn offers(&mut self, rows: &mut Bucketful) -> Result<(), Error> {
        let mut offers: Vec<(u32, Offer)> = self
            .resolved(rows, Tag::Offer, 3)
            .iter()
            .map(|entry| {
                let row = Offer {
                    series: series_of(rows, entry),
                    day: day_of(entry.words[0]),
                    n_days: entry.words[1] as i32,
                    known: day_of(entry.words[2]),
                    price: f64::from_bits(entry.words[3]),
                    promotion: f64::from_bits(entry.words[4]),
                };
                (entry.series, row)
            })
            .collect();
        offers.sort_by_key(|(series, row)| (*series, row.day, row.n_days, row.known));
        let offers: Vec<Offer> = offers.into_iter().map(|(_, row)| row).collect();
        self.write(Tag::Offer, "offers", &offers)
    }
}
