//! What moves forecasts in general: a beeswarm of the attributions of all explained series, and mean
//! sizes with their intervals, by group and over origins.

use std::path::Path;

use lifecycle::{Period, Series};
use serde::Deserialize;
use tables::AttributionRow;

use crate::Error;
use crate::gather::read_json;
use crate::numbers::short;
use crate::product::Calendar;
use crate::view::{Bar, ImportanceView, MomentView, Swarm, SwarmGroup};

/// Most series with a dot in a beeswarm; of more, every second, third, and so on.
const SWARM_SERIES_MAX: usize = 200;

/// `importance.json`, as far as it is shown.
#[derive(Debug, Deserialize)]
struct Importance {
    quantity: String,
    n_series: usize,
    interval_series_min: usize,
    rows: Vec<Row>,
    #[serde(default)]
    over_time: Vec<Moment>,
}

#[derive(Debug, Deserialize)]
struct Moment {
    origin: Period,
    n_series: usize,
    rows: Vec<Row>,
}

#[derive(Debug, Deserialize)]
struct Row {
    by: String,
    group: String,
    n_series: usize,
    output: String,
    player: String,
    size: f64,
    interval: Option<[f64; 2]>,
}

/// The view of an explanation's folder; none where it has no importance.
pub(crate) fn importance_view(
    explanations: &Path,
    attributions: &[AttributionRow],
    calendar: Calendar,
) -> Result<Option<ImportanceView>, Error> {
    let path = explanations.join("importance.json");
    if !path.exists() {
        return Ok(None);
    }
    let found: Importance = read_json(&path)?;
    let mut outputs: Vec<String> = Vec::new();
    let mut groups: Vec<SwarmGroup> = Vec::new();
    for row in found.rows {
        let output = place_of(&mut outputs, row.output.clone(), |a, b| a == b);
        let label =
            if row.by == "all" { String::new() } else { format!("{}: {}", row.by, row.group) };
        let group = SwarmGroup { label, n: row.n_series, bars: Vec::new() };
        let group = place_of(&mut groups, group, |a, b| a.label == b.label);
        add(&mut groups[group].bars, output, row);
    }
    let moments = found.over_time.into_iter();
    let moments = moments.map(|moment| moment_view(moment, &outputs, calendar)).collect();
    let series = shown(attributions);
    let swarms = outputs.iter().map(|output| swarms(attributions, output, &series)).collect();
    Ok(Some(ImportanceView {
        quantity: format!("{} values", capitalised(&found.quantity)),
        n_series: found.n_series,
        interval_series_min: found.interval_series_min,
        series: series.iter().map(ToString::to_string).collect(),
        outputs,
        groups,
        swarms,
        moments,
    }))
}

fn moment_view(moment: Moment, outputs: &[String], calendar: Calendar) -> MomentView {
    let mut bars = vec![Vec::new(); outputs.len()];
    for row in moment.rows {
        if let Some(output) = outputs.iter().position(|known| *known == row.output) {
            add(&mut bars, output, row);
        }
    }
    MomentView { origin: calendar.position(moment.origin), n: moment.n_series, bars }
}

/// Adds a bar to those of its output.
fn add(bars: &mut Vec<Vec<Bar>>, output: usize, row: Row) {
    bars.resize(bars.len().max(output + 1), Vec::new());
    let interval = row.interval.map(|interval| interval.map(shortened));
    bars[output].push(Bar { player: row.player, size: shortened(row.size), interval });
}

/// The place of an item, which is put last where it is new.
fn place_of<T>(items: &mut Vec<T>, item: T, is_same: impl Fn(&T, &T) -> bool) -> usize {
    items.iter().position(|known| is_same(known, &item)).unwrap_or_else(|| {
        items.push(item);
        items.len() - 1
    })
}

/// The series that are shown: evenly many of the sorted ones.
fn shown(attributions: &[AttributionRow]) -> Vec<Series> {
    let mut all: Vec<Series> = attributions.iter().map(|row| row.series.clone()).collect();
    all.sort();
    all.dedup();
    let step = all.len().div_ceil(SWARM_SERIES_MAX).max(1);
    all.into_iter().step_by(step).collect()
}

/// The values of each player of one output.
fn swarms(attributions: &[AttributionRow], output: &str, series: &[Series]) -> Vec<Swarm> {
    let mut swarms: Vec<Swarm> = Vec::new();
    for row in attributions.iter().filter(|row| row.output == output) {
        let Ok(at) = series.binary_search(&row.series) else { continue };
        let swarm = Swarm { player: row.player.clone(), dots: Vec::new() };
        let swarm = place_of(&mut swarms, swarm, |a, b| a.player == b.player);
        swarms[swarm].dots.push((at, shortened(row.value)));
    }
    swarms
}

fn shortened(value: f64) -> f32 {
    short(value as f32)
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use lifecycle::Period;

    use super::*;

    fn row(series: &str, output: &str, player: &str, value: f64) -> AttributionRow {
        AttributionRow {
            series: Series::of(series),
            origin: Period(0),
            output: output.into(),
            player: player.into(),
            value,
            standard_error: 0.0,
            base_value: 0.0,
            served: 0.0,
        }
    }

    #[test]
    fn outputs_and_groups_stay_apart() {
        let folder = tempfile::tempdir().expect("a folder");
        let text = r#"{"quantity": "shapley", "n_series": 21, "interval_series_min": 20, "rows": [
            {"by": "all", "group": "", "n_series": 21, "output": "units", "player": "price",
             "size": 2.0, "interval": [1.0, 3.0]},
            {"by": "all", "group": "", "n_series": 21, "output": "P(silent)", "player": "price",
             "size": 0.1, "interval": null},
            {"by": "stage", "group": "growth", "n_series": 3, "output": "P(silent)",
             "player": "sales", "size": 0.2, "interval": null}],
            "over_time": [{"origin": 12, "n_series": 9, "rows": [
            {"by": "all", "group": "", "n_series": 9, "output": "P(silent)", "player": "sales",
             "size": 0.3, "interval": null}]}]}"#;
        std::fs::write(folder.path().join("importance.json"), text).expect("written");
        let rows = [row("a", "units", "price", -2.0), row("b", "P(silent)", "price", 0.123_456)];
        let calendar = Calendar { start: Period(2), n_shown: 9 };
        let view = importance_view(folder.path(), &rows, calendar).expect("read").expect("there");
        assert_eq!((view.quantity.as_str(), view.n_series), ("Shapley values", 21));
        assert_eq!(view.outputs, ["units", "P(silent)"]);
        let labels: Vec<&str> = view.groups.iter().map(|group| group.label.as_str()).collect();
        assert_eq!(labels, ["", "stage: growth"]);
        assert_eq!(view.groups[0].bars[0][0].interval, Some([1.0, 3.0]));
        assert!(view.groups[1].bars[0].is_empty(), "nothing is told of units");
        assert_eq!(view.groups[1].bars[1][0].size, 0.2);
        let moment = &view.moments[0];
        assert_eq!((moment.origin, moment.n, moment.bars[0].len()), (10, 9, 0));
        assert_eq!((moment.bars[1][0].player.as_str(), moment.bars[1][0].size), ("sales", 0.3));
        assert_eq!(view.swarms[0][0].dots, [(0, -2.0)]);
        assert_eq!(view.swarms[1][0].dots, [(1, 0.1235)]);
        let other = tempfile::tempdir().expect("a folder");
        let nothing = importance_view(other.path(), &rows, calendar).expect("nothing to read");
        assert!(nothing.is_none());
    }

    #[test]
    fn a_beeswarm_has_so_many_series_at_most() {
        let rows: Vec<AttributionRow> =
            (0..450).map(|n| row(&format!("{n:03}"), "units", "price", 1.0)).collect();
        let series = shown(&rows);
        assert_eq!(series.len(), 150);
        assert_eq!(swarms(&rows, "units", &series)[0].dots.len(), 150);
    }
}
