//! The exchange: what our models learn from and are asked, as flat tables that any language reads.
//!
//! Made from a features artifact through the same `panel::Cutter` and the same `trainer::Rows` as
//! our own training, so that a peer learns from the rows that we learn from, with the inputs that
//! our network gets, and forecasts the rows that `evaluator` scores.
//!
//! | file | what |
//! |---|---|
//! | `meta.json` | [`Meta`] |
//! | `history.parquet` | each series by period, for peers that make their own inputs |
//! | `corrections.parquet` | what became known of a period only later |
//! | `rows.parquet` | one row a series, origin and part; see [`layout`] |
//!
//! Targets stand in the parts `train` and `validation` alone. Parts may share a series and origin:
//! a window may teach one target and validate another.

pub mod layout;
mod parquet;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use lifecycle::{Frequency, LEVELS, Part, Period, ProductId, Series, Unwatched};
use panel::{CategoryUnits, Channel, Cutter, History, Panel, PanelMeta, Settings, category_units};
use polars::prelude::Column;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tables::{FeaturesDir, Label};
use trainer::{Row, Rows, Source};

use layout::{Layout, PeerRow};
use parquet::{flags, floats, ints, texts};

/// What an exchange is made with.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Order {
    /// Name of the set.
    pub set: String,
    /// How ours is trained: decides which rows there are.
    pub trainer: trainer::Config,
    /// Products whose validation rows `evaluator` fits on.
    pub fit_products: usize,
}

/// `meta.json`: what holds for all rows. Origins and periods are numbers of `lifecycle::Period`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    /// Name of the set.
    pub set: String,
    /// `day`, `week` or `month`.
    pub frequency: Frequency,
    /// Periods of one season, as forecasters of points want it: 7 days, 52 weeks, 12 months.
    pub season_periods: usize,
    /// Periods that units are scored over.
    pub horizon: usize,
    /// Periods to forecast: the horizon, and at least 26 weeks.
    pub n_ahead: usize,
    /// Quantile levels of a forecast.
    pub levels: Vec<f64>,
    /// Periods of 4, 13 and 26 weeks.
    pub outlook_steps: [usize; 3],
    /// First period of the data.
    pub first_period: i32,
    /// Last period of the data.
    pub last_period: i32,
    /// Periods before the first test origin, that origin included.
    pub cut: usize,
    /// Last period that training and validation may know: the first test origin's own.
    pub last_known_period: i32,
    /// Origins of the part `test`.
    pub test_origins: Vec<i32>,
    /// Origins of the part `fit`.
    pub validation_origins: Vec<i32>,
    /// Names behind `x_`.
    pub static_inputs: Vec<String>,
    /// Names behind `h_<step>_`.
    pub horizon_inputs: Vec<String>,
    /// Names of the context's channels, of which `u_` is the first.
    pub context_inputs: Vec<String>,
    /// How many `u_` there are.
    pub n_recent: usize,
}

/// Writes the exchange of a features artifact into a folder; the same features give the same bytes.
pub fn write(order: &Order, features: &Path, output: &Path) -> anyhow::Result<()> {
    let features = FeaturesDir::open(features)?;
    let panel = features.panel()?;
    let meta = meta(order, &features);
    let text = serde_json::to_string_pretty(&meta)? + "\n";
    std::fs::write(output.join("meta.json"), text).context("meta.json")?;
    write_histories(&features, &panel, output)?;
    write_corrections(&panel, output)?;
    let layout = Layout::new(&meta, features.meta().settings.context);
    let rows = rows(order, &features, &panel, &layout)?;
    let columns = layout.columns(&rows, &panel.histories, features.unseen());
    parquet::write(&output.join("rows.parquet"), columns)
}

fn meta(order: &Order, features: &FeaturesDir) -> Meta {
    let (panel, split) = (features.meta(), features.split());
    let numbers = |origins: Vec<Period>| origins.into_iter().map(|origin| origin.0).collect();
    let names = |inputs: &[&str]| inputs.iter().map(|name| (*name).to_owned()).collect();
    Meta {
        set: order.set.clone(),
        frequency: panel.frequency,
        season_periods: match panel.frequency {
            Frequency::Day => 7,
            Frequency::Week => 52,
            Frequency::Month => 12,
        },
        horizon: panel.settings.horizon,
        n_ahead: panel.n_outlook_periods(),
        levels: LEVELS.to_vec(),
        outlook_steps: panel.outlooks(),
        first_period: panel.start.0,
        last_period: panel.last().0,
        cut: split.cut,
        last_known_period: split.last_training_period().0,
        test_origins: numbers(split.test_origins(0)),
        validation_origins: numbers(evaluator::fit_origins(panel, split)),
        static_inputs: names(panel::STATIC_INPUTS),
        horizon_inputs: names(panel::HORIZON_INPUTS),
        context_inputs: names(panel::CONTEXT_INPUTS),
        n_recent: layout::N_RECENT_MAX.min(panel.settings.context),
    }
}

/// A period of a series.
#[derive(Debug, Clone, Copy)]
struct Cell<'a> {
    history: &'a History,
    period: Period,
}

fn write_histories(features: &FeaturesDir, panel: &Panel, output: &Path) -> anyhow::Result<()> {
    let mut cells = Vec::new();
    for history in &panel.histories {
        let periods = 0..history.n_periods() as i32;
        cells.extend(periods.map(|n| Cell { history, period: history.start.plus(n) }));
    }
    let is_unseen = |cell: &Cell<'_>| features.unseen().contains(&cell.history.series.product);
    let units = |cell: &Cell<'_>| {
        let is_observed = cell.history.is_observed(cell.period);
        if is_observed { cell.history.value(Channel::Units, cell.period) } else { f32::NAN }
    };
    let value = |channel| move |cell: &Cell<'_>| cell.history.value(channel, cell.period);
    let mut columns = series_columns(cells.iter().map(|cell| &cell.history.series));
    columns.extend([
        texts("category", cells.iter().map(|cell| Some(panel.share_category(cell.history)))),
        flags("unseen", cells.iter().map(is_unseen)),
        ints("period", cells.iter().map(|cell| Some(cell.period.0))),
        floats("units", cells.iter().map(units)),
        floats("price", cells.iter().map(value(Channel::Price))),
        floats("promotion", cells.iter().map(value(Channel::Promotion))),
    ]);
    parquet::write(&output.join("history.parquet"), columns)
}

/// The columns that name a series in every table: as one text, and as forecasts name it.
fn series_columns<'a>(all: impl Iterator<Item = &'a Series> + Clone) -> Vec<Column> {
    let location = |series: &Series| series.location.as_ref().map(ToString::to_string);
    vec![
        texts("series", all.clone().map(|series| Some(series.to_string()))),
        texts("product", all.clone().map(|series| Some(series.product.to_string()))),
        texts("location", all.map(location)),
    ]
}

fn write_corrections(panel: &Panel, output: &Path) -> anyhow::Result<()> {
    let of = |history| move |correction| (history, correction);
    let changes: Vec<(&History, &panel::Correction)> = panel
        .histories
        .iter()
        .flat_map(|history| history.corrections.iter().map(of(history)))
        .collect();
    let mut columns = series_columns(changes.iter().map(|(history, _)| &history.series));
    columns.extend([
        ints("period", changes.iter().map(|(_, correction)| Some(correction.period.0))),
        ints("known", changes.iter().map(|(_, correction)| Some(correction.known.0))),
        floats("change", changes.iter().map(|(_, correction)| correction.change)),
    ]);
    parquet::write(&output.join("corrections.parquet"), columns)
}

/// All rows, sorted by series, origin and part.
fn rows(
    order: &Order,
    features: &FeaturesDir,
    panel: &Panel,
    layout: &Layout,
) -> anyhow::Result<Vec<PeerRow>> {
    let categories = category_units(panel);
    let cutter = Cutter::new(features.meta(), &categories, features.fitted());
    let mut rows = learnt_from(order, features, (panel, &categories), layout)?;
    let asked = |series: &usize, origins: &[Period], part| {
        let history = &panel.histories[*series];
        let begun: Vec<Period> =
            origins.iter().copied().filter(|origin| *origin >= history.start).collect();
        let windows = cutter.windows(history, &begun);
        let row = |window| layout.row(*series, &window, part);
        windows.into_iter().map(row).collect::<Vec<PeerRow>>()
    };
    let all: Vec<usize> = (0..panel.histories.len()).collect();
    let fitted = evaluator::fit_series(&panel.histories, features.unseen(), order.fit_products);
    let fit_origins = evaluator::fit_origins(features.meta(), features.split());
    let test_origins = features.split().test_origins(0);
    rows.par_extend(fitted.par_iter().flat_map_iter(|at| asked(at, &fit_origins, "fit")));
    rows.par_extend(all.par_iter().flat_map_iter(|at| asked(at, &test_origins, "test")));
    rows.sort_by_key(|row| (row.series, row.origin, row.part_order()));
    Ok(rows)
}

/// The rows that our models are trained and validated on, with their targets.
fn learnt_from(
    order: &Order,
    features: &FeaturesDir,
    (panel, categories): (&Panel, &BTreeMap<String, CategoryUnits>),
    layout: &Layout,
) -> anyhow::Result<Vec<PeerRow>> {
    let labels = features.labels_train()?.into_iter();
    let labels: BTreeMap<ProductId, Label> =
        labels.map(|label| (label.product.clone(), label)).collect();
    let source = Source {
        meta: features.meta(),
        histories: &panel.histories,
        categories,
        fitted: features.fitted(),
        split: features.split(),
        unseen: features.unseen(),
        labels: &labels,
    };
    let cut = Rows::cut(source, &order.trainer, &Unwatched).rows;
    // Our own targets of units end at the horizon; those of peers go on to 26 weeks.
    let far = far_sighted(features.meta());
    let far = Cutter::new(&far, categories, features.fitted());
    let row = |row: &Row| -> anyhow::Result<Vec<PeerRow>> {
        let of_series = |history: &History| history.series.cmp(&row.window.series);
        let found = panel.histories.binary_search_by(of_series);
        let series = found.ok().context("a row of no series of the panel")?;
        let later = far.targets(&panel.histories[series], row.window.origin).units;
        let parts =
            [(&row.train, Part::Train, "train"), (&row.validation, Part::Validation, "validation")];
        let rows = parts.into_iter().filter_map(|(target, part, name)| {
            let mut units = later.clone();
            for (step, units) in units.iter_mut().enumerate() {
                if features.split().part(row.window.origin, step + 1) != Some(part) {
                    *units = f32::NAN;
                }
            }
            Some(layout.row(series, &row.window, name).learning(target.as_ref()?, &units))
        });
        Ok(rows.collect())
    };
    let rows: Vec<Vec<PeerRow>> = cut.par_iter().map(row).collect::<anyhow::Result<_>>()?;
    Ok(rows.into_iter().flatten().collect())
}

/// The panel with a horizon that reaches as far as any forecast.
fn far_sighted(meta: &PanelMeta) -> PanelMeta {
    let settings = Settings { horizon: meta.n_outlook_periods(), ..meta.settings };
    PanelMeta { settings, ..meta.clone() }
}

#[cfg(test)]
mod tests;
