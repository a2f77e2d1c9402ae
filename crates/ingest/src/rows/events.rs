//! Views, carts and wishes: a row an event, or a row of counts.

use std::collections::BTreeMap;

use crate::refusals::Reason;
use crate::rows::{Parsed, Row, SeriesColumns, day_word, word};
use crate::spill::{Tag, WORDS};

/// Which columns of events play which part.
#[derive(Debug)]
pub(crate) struct EventPlan {
    pub(crate) series: SeriesColumns,
    pub(crate) date: usize,
    pub(crate) kind: Option<(usize, KindNames)>,
    pub(crate) count: Option<usize>,
    /// Columns of views, carts and wishes.
    pub(crate) counts: [Option<usize>; 3],
}

/// What each name of a kind counts as: views, carts, wishes (0, 1, 2) or nothing.
pub(crate) type KindNames = BTreeMap<String, Option<usize>>;

impl EventPlan {
    pub(crate) fn read(&self, row: &mut Row<'_, '_>, out: &mut Vec<Parsed>) {
        let series = row.series(&self.series);
        let at = row.moment(self.date);
        let counts = self.counts(row);
        let (Some(series), Some(at), Some(counts)) = (series, at, counts) else { return };
        let mut words = [0; WORDS];
        words[0] = day_word(at.day());
        words[1..4].copy_from_slice(&counts.map(word));
        out.push(Parsed { tag: Tag::Event, series, words, day: at.day() });
    }

    /// Counts of views, carts and wishes; `None` where the row is of no use.
    fn counts(&self, row: &mut Row<'_, '_>) -> Option<[f64; 3]> {
        let mut counts = [0.0; 3];
        for (count, slot) in counts.iter_mut().zip(self.counts) {
            *count = row.number(slot).unwrap_or(0.0);
            if *count < 0.0 {
                row.problem(Reason::NegativeNumber, slot);
            }
        }
        let Some((slot, names)) = &self.kind else { return Some(counts) };
        let n_events = row.number(self.count).unwrap_or(1.0);
        if n_events < 0.0 {
            row.problem(Reason::NegativeNumber, self.count);
        }
        let kind = row.text(Some(*slot)).unwrap_or_default().to_lowercase();
        match names.get(&kind) {
            Some(Some(kind)) => {
                counts[*kind] += n_events;
                Some(counts)
            }
            Some(None) => None,
            None => {
                row.problem(Reason::UnknownEvent, *slot);
                None
            }
        }
    }
}
