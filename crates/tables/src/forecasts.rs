//! Forecasts of any forecaster; `forecasts/part-NNN.parquet`, sorted by (origin, series).
//!
//! What a forecaster does not give is null. Lists are row-major: quantiles `[horizon, 13]` at
//! `lifecycle::LEVELS`; turns `[3 horizons, 3]` halved, doubled, silent; stages `[3 horizons, 5]`.

use std::path::{Path, PathBuf};

use lifecycle::{Forecast, N_LEVELS, Outlook, Period, StageProbabilities, UnitsForecast};
use polars::prelude::Column;

use crate::frame::{Error, Frame, Table, flags, float_lists, ints};
use crate::series;

impl Table for Forecast {
    fn columns(rows: &[Self]) -> Vec<Column> {
        let mut columns = series::columns(rows, |row| &row.series);
        let units = |row: &Self, of: fn(&UnitsForecast) -> &Vec<f32>| {
            row.units.as_ref().map(of).filter(|values| !values.is_empty()).cloned()
        };
        let lists: Vec<Lists> = rows
            .iter()
            .map(|row| Lists {
                means: units(row, |units| &units.means),
                quantiles: units(row, |units| &units.quantiles),
                cumulative: units(row, |units| &units.cumulative_quantiles),
                stage_now: row.stage_now.map(|stages| <[f32; 5]>::from(stages).to_vec()),
                turns: joined(&row.outlooks, |outlook| outlook.turns.map(Vec::from)),
                stages: joined(&row.outlooks, |outlook| {
                    outlook.stage.map(|stages| <[f32; 5]>::from(stages).to_vec())
                }),
            })
            .collect();
        columns.extend([
            ints("origin", rows, |row| Some(row.origin.0)),
            float_lists("means", &lists, |row| row.means.as_deref()),
            float_lists("quantiles", &lists, |row| row.quantiles.as_deref()),
            float_lists("cumulative_quantiles", &lists, |row| row.cumulative.as_deref()),
            float_lists("stage_now", &lists, |row| row.stage_now.as_deref()),
            float_lists("turns", &lists, |row| row.turns.as_deref()),
            float_lists("stages", &lists, |row| row.stages.as_deref()),
            flags("cold_start", rows, |row| row.cold_start),
            flags("far_from_training", rows, |row| row.far_from_training),
        ]);
        columns
    }

    fn rows(frame: &Frame) -> Result<Vec<Self>, Error> {
        let origins = frame.ints("origin")?;
        let mut means = frame.float_lists("means")?.into_iter();
        let mut quantiles = frame.float_lists("quantiles")?.into_iter();
        let mut cumulative = frame.float_lists("cumulative_quantiles")?.into_iter();
        let stages_now = frame.float_lists("stage_now")?;
        let turns = frame.float_lists("turns")?;
        let stages = frame.float_lists("stages")?;
        let (cold, far) = (frame.flags("cold_start")?, frame.flags("far_from_training")?);
        series::read(frame)?
            .enumerate()
            .map(|(row, series)| {
                let (quantiles, cumulative) = (quantiles.next(), cumulative.next());
                let units = means.next().flatten().map(|means| UnitsForecast {
                    means,
                    quantiles: quantiles.flatten().unwrap_or_default(),
                    cumulative_quantiles: cumulative.flatten().unwrap_or_default(),
                });
                if let Some(units) = &units {
                    let wrong = |invalid: lifecycle::Invalid| {
                        frame.column_error(&invalid.field, &invalid.reason)
                    };
                    units.validate().map_err(wrong)?;
                }
                let stage = |values: &[f32]| {
                    let values: [f32; 5] = values
                        .try_into()
                        .map_err(|_| frame.column_error("stages", "needs 5 values"))?;
                    StageProbabilities::try_from(values)
                        .map_err(|invalid| frame.column_error("stages", invalid.reason))
                };
                let mut outlooks = [Outlook::default(); 3];
                for (index, outlook) in outlooks.iter_mut().enumerate() {
                    let cut = |list: &Option<Vec<f32>>, n: usize| {
                        let slice = list.as_ref()?.get(index * n..(index + 1) * n)?;
                        slice.iter().all(|p| p.is_finite()).then(|| slice.to_vec())
                    };
                    outlook.turns = cut(&turns[row], 3).and_then(|values| values.try_into().ok());
                    outlook.stage = cut(&stages[row], 5).as_deref().map(stage).transpose()?;
                }
                Ok(Self {
                    series,
                    origin: Period(origins[row]),
                    units,
                    stage_now: stages_now[row].as_deref().map(stage).transpose()?,
                    outlooks,
                    cold_start: cold[row],
                    far_from_training: far[row],
                })
            })
            .collect()
    }
}

/// The Parquet files of a folder of parts, in order.
pub fn parts(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let file_error = |source| Error::File { path: folder.to_owned(), source };
    let mut parts = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(file_error)? {
        parts.push(entry.map_err(file_error)?.path());
    }
    parts.retain(|path| path.extension().is_some_and(|extension| extension == "parquet"));
    parts.sort();
    Ok(parts)
}

/// The forecasts of the latest origin in a forecasts artifact.
pub fn latest_forecasts(directory: &Path) -> Result<Vec<Forecast>, Error> {
    let mut latest: Vec<Forecast> = Vec::new();
    for part in parts(&directory.join("forecasts"))? {
        for forecast in crate::read::<Forecast>(&part)? {
            match latest.first().map(|first| first.origin) {
                Some(origin) if forecast.origin < origin => {}
                Some(origin) if forecast.origin == origin => latest.push(forecast),
                _ => latest = vec![forecast],
            }
        }
    }
    Ok(latest)
}

struct Lists {
    means: Option<Vec<f32>>,
    quantiles: Option<Vec<f32>>,
    cumulative: Option<Vec<f32>>,
    stage_now: Option<Vec<f32>>,
    turns: Option<Vec<f32>>,
    stages: Option<Vec<f32>>,
}

/// The values of all three outlooks in a row; a missing one is NaN, all missing is null.
fn joined(outlooks: &[Outlook; 3], of: impl Fn(&Outlook) -> Option<Vec<f32>>) -> Option<Vec<f32>> {
    let values: Vec<Option<Vec<f32>>> = outlooks.iter().map(of).collect();
    let width = values.iter().flatten().map(Vec::len).next()?;
    Some(values.into_iter().flat_map(|row| row.unwrap_or(vec![f32::NAN; width])).collect())
}

const _: () = assert!(N_LEVELS == 13, "the module documentation names the number of levels");
