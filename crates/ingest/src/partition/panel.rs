//! Panel rows of a partition, summed to the data set's periods where they are finer.

use lifecycle::{Period, Stage};
use tables::PanelRow;

use super::{Work, series_of};
use crate::error::Error;
use crate::rows::day_of;
use crate::spill::{Bucketful, Entry, Tag};

impl Work<'_> {
    pub(super) fn panel(&mut self, rows: &mut Bucketful) -> Result<(), Error> {
        let mut entries = self.resolved(rows, Tag::Panel, 1);
        entries.sort_by_key(|entry| (entry.series, day_of(entry.words[0])));
        let frequency = self.task.frequency;
        let period = |entry: &Entry| frequency.period_of(day_of(entry.words[0]));
        let key = |entry: &Entry| (entry.series, period(entry));
        let mut panel: Vec<PanelRow> = Vec::with_capacity(entries.len());
        for group in entries.chunk_by(|a, b| key(a) == key(b)) {
            panel.push(self.row(rows, group, period(&group[0])));
        }
        for of_series in panel.chunk_by(|a, b| a.series == b.series) {
            self.find_spikes_in_panel(of_series);
        }
        for row in &panel {
            self.outcome.panel.rows += 1;
            if row.units.is_nan() {
                self.outcome.panel.missing += 1;
            } else {
                self.outcome.panel.units += row.units;
            }
        }
        self.write(Tag::Panel, "panel", &panel)
    }

    /// One period from the rows that fall into it: units add up, and are missing if any is; shares
    /// and prices are means of what is known.
    fn row(&self, rows: &Bucketful, group: &[Entry], period: Period) -> PanelRow {
        let number = |entry: &Entry, word: usize| f64::from_bits(entry.words[word]);
        let mean = |word: usize| {
            let known = group.iter().map(|entry| number(entry, word)).filter(|x| !x.is_nan());
            let (sum, count) = known.fold((0.0, 0.0), |(sum, count), x| (sum + x, count + 1.0));
            (sum / count) as f32
        };
        let stage = group.iter().rev().map(|entry| number(entry, 6) as usize).find(|&n| n > 0);
        PanelRow {
            series: series_of(rows, &group[0]),
            day: self.task.frequency.first_day(period),
            units: group.iter().map(|entry| number(entry, 2)).sum(),
            in_stock: mean(3),
            price: mean(4),
            promotion: mean(5),
            stage: stage.map(|number| Stage::ALL[number - 1].name().to_owned()),
        }
    }
}
