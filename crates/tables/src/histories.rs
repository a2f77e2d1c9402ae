//! The panel: one row a series with its channels as lists; `panel/shard-NNN.parquet`.

use lifecycle::Period;
use panel::{Channel, Correction, History, Statics};
use polars::prelude::Column;

use crate::frame::{Error, Frame, Table, float_lists, int_lists, ints, text_lists, texts};
use crate::series;

impl Table for History {
    fn columns(rows: &[Self]) -> Vec<Column> {
        let mut columns = series::columns(rows, |row| &row.series);
        columns.extend([
            text_lists("category", rows, |row| &row.statics.category),
            texts("brand", rows, |row| row.statics.brand.as_deref()),
            texts("title", rows, |row| row.statics.title.as_deref()),
            ints("launch", rows, |row| row.statics.launch.map(|period| period.0)),
            ints("end", rows, |row| row.statics.end.map(|period| period.0)),
            ints("start", rows, |row| Some(row.start.0)),
        ]);
        for channel in Channel::ALL {
            columns.push(float_lists(channel.name(), rows, |row| Some(row.channel(channel))));
        }
        columns.push(int_lists("correction_period", rows, |row| {
            row.corrections.iter().map(|correction| correction.period.0).collect()
        }));
        columns.push(int_lists("correction_known", rows, |row| {
            row.corrections.iter().map(|correction| correction.known.0).collect()
        }));
        let changes: Vec<Vec<f32>> = rows
            .iter()
            .map(|row| row.corrections.iter().map(|correction| correction.change).collect())
            .collect();
        columns.push(float_lists("correction_change", &changes, |changes| Some(changes)));
        columns.push(int_lists("given_stage", rows, |row| {
            row.given_stage.iter().map(|stage| i32::from(*stage)).collect()
        }));
        columns
    }

    fn rows(frame: &Frame) -> Result<Vec<Self>, Error> {
        let mut categories = frame.text_lists("category")?.into_iter();
        let mut brands = frame.texts("brand")?.into_iter();
        let mut titles = frame.texts("title")?.into_iter();
        let (launches, ends) = (frame.optional_ints("launch")?, frame.optional_ints("end")?);
        let starts = frame.ints("start")?;
        let mut channels = Vec::new();
        for channel in Channel::ALL {
            channels.push(frame.float_lists(channel.name())?.into_iter());
        }
        let periods = frame.int_lists("correction_period")?;
        let knowns = frame.int_lists("correction_known")?;
        let changes = frame.float_lists("correction_change")?;
        let stages = frame.int_lists("given_stage")?;
        series::read(frame)?
            .enumerate()
            .map(|(row, series)| {
                let changes = changes[row].as_deref().unwrap_or_default();
                let corrections = periods[row].iter().zip(&knowns[row]).zip(changes).map(
                    |((period, known), change)| Correction {
                        period: Period(*period),
                        known: Period(*known),
                        change: *change,
                    },
                );
                let history = Self {
                    series,
                    statics: Statics {
                        category: categories.next().unwrap_or_default(),
                        brand: brands.next().flatten(),
                        title: titles.next().flatten(),
                        launch: launches[row].map(Period),
                        end: ends[row].map(Period),
                    },
                    start: Period(starts[row]),
                    channels: std::array::from_fn(|channel| {
                        channels[channel].next().flatten().unwrap_or_default()
                    }),
                    corrections: corrections.collect(),
                    given_stage: stages[row]
                        .iter()
                        .map(|stage| u8::try_from(*stage).unwrap_or(u8::MAX))
                        .collect(),
                };
                let checked = history.validate();
                checked.map_err(|invalid| frame.column_error(&invalid.field, &invalid.reason))?;
                Ok(history)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use lifecycle::Series;

    use super::*;
    use crate::frame::{read, write};

    #[test]
    fn a_history_comes_back_whole_and_the_same_rows_give_the_same_bytes() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut channels: [Vec<f32>; 8] = Default::default();
        channels[Channel::Units as usize] = vec![1.0, 0.0, 3.5];
        let history = History {
            series: Series::of("mug"),
            statics: Statics { category: vec!["home".into(), "mugs".into()], ..Statics::default() },
            start: Period(2080),
            channels,
            corrections: vec![Correction {
                period: Period(2080),
                known: Period(2081),
                change: -2.0,
            }],
            given_stage: Vec::new(),
        };
        let (first, second) = (directory.path().join("a"), directory.path().join("b"));
        write(&first, std::slice::from_ref(&history)).expect("written");
        write(&second, std::slice::from_ref(&history)).expect("written");
        assert_eq!(read::<History>(&first).expect("read"), [history]);
        assert_eq!(std::fs::read(first).expect("bytes"), std::fs::read(second).expect("bytes"));
    }
}
