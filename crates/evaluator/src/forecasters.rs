//! Every forecaster's losses on every test row: rules, and tables that others wrote.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lifecycle::{Forecast, Series};
use panel::History;
use rayon::prelude::*;

use crate::Error;
use crate::complete::{Common, Completion};
use crate::losses::Losses;
use crate::rows::{FitRow, Learnt, Row, Source};
use crate::rules::Rule;

/// All that forecasters are judged on.
#[derive(Debug)]
pub(crate) struct Ground<'a> {
    pub(crate) source: Source<'a>,
    /// Sorted by series.
    pub(crate) histories: &'a [History],
    /// Sorted by (series, origin).
    pub(crate) rows: Vec<Row>,
    /// Positions of the series whose validation rows are fitted on, ascending.
    pub(crate) fit_series: Vec<usize>,
    pub(crate) n_origins: usize,
    pub(crate) n_categories: usize,
    pub(crate) learnt: Learnt,
    pub(crate) common: Common,
}

/// What one forecaster made of the test rows.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) name: String,
    /// One a row.
    pub(crate) losses: Vec<Losses>,
    /// Correlation of neighbouring steps in its sample paths; `None` where it needs none.
    pub(crate) rho: Option<f64>,
}

impl Ground<'_> {
    /// Validation rows that rules are fitted on.
    pub(crate) fn fit_rows(&self) -> Vec<FitRow> {
        let origins = self.source.validation_origins();
        let rows = self
            .fit_series
            .par_iter()
            .map(|&series| self.source.fit_rows(&self.histories[series], series, &origins));
        let rows: Vec<Vec<FitRow>> = rows.collect();
        rows.into_iter().flatten().filter(FitRow::is_observed).collect()
    }

    /// A rule's losses.
    pub(crate) fn judge_rule(&self, rule: Rule, fit_rows: &[FitRow]) -> Judged {
        let forecast = |basis: &crate::rows::Basis| {
            let history = &self.histories[basis.series];
            basis.forecast(rule, self.source.meta, &self.learnt, history)
        };
        let has_paths = !matches!(rule, Rule::BaseRate | Rule::AllZeros);
        let pairs: Vec<(&FitRow, Forecast)> = if has_paths {
            fit_rows.iter().map(|row| (row, forecast(&row.basis))).collect()
        } else {
            Vec::new()
        };
        let completion = Completion::fit(&pairs, &self.common);
        drop(pairs);
        let mut totals = CategoryTotals::new(self);
        if has_paths {
            for row in &self.rows {
                totals.add(row, &forecast(&row.basis));
            }
        }
        let judge = Judge { ground: self, completion, totals };
        let is_scored = |row: &Row| row.basis.cold_start || !rule.is_of_cold_starts();
        let losses = |(number, row): (usize, &Row)| {
            if is_scored(row) {
                judge.losses(number, forecast(&row.basis))
            } else {
                Losses::default()
            }
        };
        Judged {
            name: rule.name().to_owned(),
            losses: self.rows.par_iter().enumerate().map(losses).collect(),
            rho: has_paths.then_some(judge.completion.rho),
        }
    }

    /// The losses of a table of forecasts: `directory` holds `forecasts/part-NNN.parquet`.
    pub(crate) fn judge_table(&self, name: &str, directory: &Path) -> Result<Judged, Error> {
        let parts = parts(directory)?;
        let mut totals = CategoryTotals::new(self);
        let mut incomplete: BTreeMap<usize, Vec<Forecast>> = BTreeMap::new();
        for part in &parts {
            for forecast in tables::read::<Forecast>(part)? {
                let series = self.series(&forecast.series, part)?;
                if let Some(row) = self.row(series, &forecast) {
                    totals.add(&self.rows[row], &forecast);
                } else if is_incomplete(&forecast)
                    && self.fit_series.binary_search(&series).is_ok()
                    && self.source.is_before_cut(forecast.origin)
                {
                    incomplete.entry(series).or_default().push(forecast);
                }
            }
        }
        let has_paths = !incomplete.is_empty();
        let judge = Judge { ground: self, completion: self.fit_table(incomplete), totals };
        let mut losses = vec![Losses::default(); self.rows.len()];
        let mut is_forecast = vec![false; self.rows.len()];
        for part in &parts {
            let found = self.table_rows(part)?;
            for (number, _) in &found {
                if std::mem::replace(&mut is_forecast[*number], true) {
                    let row = &self.rows[*number];
                    let series = &self.histories[row.basis.series].series;
                    let reason =
                        format!("two forecasts of {series} at origin {}", row.basis.origin.0);
                    return Err(Error::Forecasts { path: part.clone(), reason });
                }
            }
            let judged: Vec<(usize, Losses)> = found
                .into_par_iter()
                .map(|(number, forecast)| (number, judge.losses(number, forecast)))
                .collect();
            for (number, judged) in judged {
                losses[number] = judged;
            }
        }
        let rho = has_paths.then_some(judge.completion.rho);
        Ok(Judged { name: name.to_owned(), losses, rho })
    }

    /// The test rows of one file.
    fn table_rows(&self, part: &Path) -> Result<Vec<(usize, Forecast)>, Error> {
        let mut found = Vec::new();
        for forecast in tables::read::<Forecast>(part)? {
            let series = self.series(&forecast.series, part)?;
            if let Some(row) = self.row(series, &forecast) {
                found.push((row, forecast));
            }
        }
        Ok(found)
    }

    /// Fits what a table leaves out on its own validation rows.
    fn fit_table(&self, incomplete: BTreeMap<usize, Vec<Forecast>>) -> Completion {
        let by_series: Vec<(usize, Vec<Forecast>)> = incomplete.into_iter().collect();
        let matched: Vec<Vec<(FitRow, Forecast)>> = by_series
            .into_par_iter()
            .map(|(series, mut forecasts)| {
                forecasts.sort_by_key(|forecast| forecast.origin);
                forecasts.dedup_by_key(|forecast| forecast.origin);
                let origins: Vec<_> = forecasts.iter().map(|forecast| forecast.origin).collect();
                let rows = self.source.fit_rows(&self.histories[series], series, &origins);
                let pair = |row: FitRow| {
                    let origin = row.basis.origin;
                    let at =
                        forecasts.binary_search_by_key(&origin, |forecast| forecast.origin).ok()?;
                    row.is_observed().then(|| (row, forecasts[at].clone()))
                };
                rows.into_iter().filter_map(pair).collect()
            })
            .collect();
        let (rows, forecasts): (Vec<FitRow>, Vec<Forecast>) = matched.into_iter().flatten().unzip();
        let pairs: Vec<(&FitRow, Forecast)> = rows.iter().zip(forecasts).collect();
        Completion::fit(&pairs, &self.common)
    }

    fn series(&self, series: &Series, part: &Path) -> Result<usize, Error> {
        self.histories.binary_search_by(|history| history.series.cmp(series)).map_err(|_| {
            let reason = format!("forecasts {series}, which is no series of the panel");
            Error::Forecasts { path: part.to_owned(), reason }
        })
    }

    fn row(&self, series: usize, forecast: &Forecast) -> Option<usize> {
        let key = (series, forecast.origin);
        self.rows.binary_search_by_key(&key, |row| (row.basis.series, row.basis.origin)).ok()
    }
}

/// One forecaster, ready to be judged.
struct Judge<'a> {
    ground: &'a Ground<'a>,
    completion: Completion,
    totals: CategoryTotals,
}

impl Judge<'_> {
    /// The losses of its forecast of one row.
    fn losses(&self, number: usize, forecast: Forecast) -> Losses {
        let (row, common) = (&self.ground.rows[number], &self.ground.common);
        let complete = self.completion.complete(forecast, row, self.totals.of(row), common);
        Losses::new(&complete, row, number, common.grain)
    }
}

/// Whether something must be derived that the forecaster does not say.
fn is_incomplete(forecast: &Forecast) -> bool {
    forecast.units.as_ref().is_some_and(|units| {
        units.cumulative_quantiles.is_empty()
            || forecast.outlooks.iter().any(|outlook| outlook.turns.is_none())
    })
}

/// The files of a table of forecasts, by name.
fn parts(directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let path = directory.join("forecasts");
    let listed = std::fs::read_dir(&path)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, _>>());
    let mut parts =
        listed.map_err(|source| Error::NoForecasts { path: path.clone(), source: Some(source) })?;
    parts.retain(|part| part.extension().is_some_and(|extension| extension == "parquet"));
    parts.sort();
    if parts.is_empty() {
        return Err(Error::NoForecasts { path, source: None });
    }
    Ok(parts)
}

/// Units that one forecaster expects of each category: the sum of its own means, by origin and step.
struct CategoryTotals {
    n_categories: usize,
    n_steps: usize,
    /// Row-major `[n_origins, n_categories, n_steps]`.
    units: Vec<f64>,
}

impl CategoryTotals {
    fn new(ground: &Ground<'_>) -> Self {
        let n_steps = ground.source.meta.n_outlook_periods();
        let units = vec![0.0; ground.n_origins * ground.n_categories * n_steps];
        Self { n_categories: ground.n_categories, n_steps, units }
    }

    fn start(&self, row: &Row) -> usize {
        (row.origin_index * self.n_categories + row.category) * self.n_steps
    }

    fn add(&mut self, row: &Row, forecast: &Forecast) {
        let start = self.start(row);
        let means = forecast.units.iter().flat_map(|units| &units.means);
        for (total, mean) in self.units[start..start + self.n_steps].iter_mut().zip(means) {
            *total += f64::from(*mean);
        }
    }

    fn of(&self, row: &Row) -> &[f64] {
        &self.units[self.start(row)..][..self.n_steps]
    }
}
