//! Maps of weeks and channels: the expected gradients of the network alone for a few products, and where
//! attention goes.

use std::path::Path;

use lifecycle::{Period, Series};
use serde::Deserialize;

use crate::Error;
use crate::gather::read_json;
use crate::numbers::short;
use crate::product::Calendar;
use crate::view::{Heat, HeatView, RolloutView};

/// Maps that are shown at most.
const MAPS_MAX: usize = 24;

/// `gradients.json`, as far as it is shown.
#[derive(Debug, Deserialize)]
struct Gradients {
    explains: String,
    maps: Vec<Map>,
    #[serde(default)]
    rollouts: Vec<Rollout>,
}

#[derive(Debug, Deserialize)]
struct Rollout {
    series: Series,
    origin: Period,
    of: String,
    context: Vec<f32>,
    statics: f32,
    horizon: f32,
}

#[derive(Debug, Deserialize)]
struct Map {
    series: Series,
    origin: Period,
    gradient: String,
    output: String,
    base: f64,
    answer: f64,
    gap: f64,
    channels: Vec<String>,
    values: Vec<Vec<f32>>,
}

/// The view of an explanation's folder; none where it has no maps.
pub(crate) fn heat_view(
    explanations: &Path,
    calendar: Calendar,
) -> Result<Option<HeatView>, Error> {
    let path = explanations.join("gradients.json");
    if !path.exists() {
        return Ok(None);
    }
    let Gradients { explains, maps, rollouts } = read_json(&path)?;
    let maps =
        maps.into_iter().filter(|map| map.gradient == "expected" && !map.channels.is_empty());
    let maps: Vec<Heat> = maps.take(MAPS_MAX).map(|map| heat(map, calendar)).collect();
    let rollouts = rollouts.into_iter().map(|map| rollout(map, calendar)).collect();
    Ok((!maps.is_empty()).then_some(HeatView { explains, maps, rollouts }))
}

/// Attention without the periods before the first that is looked at.
fn rollout(map: Rollout, calendar: Calendar) -> RolloutView {
    let Rollout { series, origin, of, context, statics, horizon } = map;
    let n_known = calendar.position(origin) + 1;
    let unseen = context.iter().take_while(|share| **share == 0.0).count();
    let first = unseen.max(context.len().saturating_sub(n_known)).min(context.len());
    let start = n_known - (context.len() - first);
    let context = context[first..].iter().map(|share| short(*share)).collect();
    RolloutView { series: series.to_string(), of, start, context, statics, horizon }
}

/// A map without the periods before the first that moves anything.
fn heat(map: Map, calendar: Calendar) -> Heat {
    let Map { series, origin, output, base, answer, gap, channels, values, .. } = map;
    let n_known = calendar.position(origin) + 1;
    let is_still = |row: &&Vec<f32>| row.iter().all(|value| *value == 0.0);
    let first =
        values.iter().take_while(is_still).count().max(values.len().saturating_sub(n_known));
    let values = &values[first.min(values.len())..];
    let of_channel = |channel: usize| values.iter().map(|row| short(row[channel])).collect();
    Heat {
        series: series.to_string(),
        output,
        start: n_known - values.len(),
        base,
        answer,
        gap,
        values: (0..channels.len()).map(of_channel).collect(),
        channels,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_ends_at_its_origin_and_begins_where_something_moves() {
        let folder = tempfile::tempdir().expect("a folder");
        let calendar = Calendar { start: Period(100), n_shown: 9 };
        assert!(heat_view(folder.path(), calendar).expect("nothing to read").is_none());
        let map = |gradient: &str, values: &str| {
            format!(
                r#"{{"series": {{"product": "mug", "location": null}}, "origin": 103,
                "gradient": "{gradient}", "output": "units", "base": 1.0, "answer": 2.0,
                "gap": 0.01, "channels": ["units", "price"], "values": {values}}}"#
            )
        };
        let rows = "[[0, 0], [0, 0], [1.5, 0], [0, 0], [0, -2]]";
        let long = "[[1, 1], [2, 2], [3, 3], [4, 4], [5, 5], [6, 6]]";
        let maps =
            [map("expected", rows), map("integrated", rows), map("expected", long)].join(",");
        let rollout = r#"{"series": {"product": "mug", "location": null}, "origin": 103, "of": "the network",
            "context": [0, 0, 0, 0.25, 0.5], "statics": 0.25, "horizon": 0}"#;
        let text =
            format!(r#"{{"explains": "the network", "maps": [{maps}], "rollouts": [{rollout}]}}"#);
        std::fs::write(folder.path().join("gradients.json"), text).expect("written");
        let view = heat_view(folder.path(), calendar).expect("read").expect("there");
        let [map, long] = &view.maps[..] else { panic!("two of expected gradients") };
        assert_eq!(
            (map.start, map.values.clone()),
            (1, vec![vec![1.5, 0.0, 0.0], vec![0.0, 0.0, -2.0]])
        );
        let [rollout] = &view.rollouts[..] else { panic!("one roll-out") };
        assert_eq!((rollout.start, rollout.context.clone()), (2, vec![0.25, 0.5]));
        assert_eq!((long.start, &long.values[0]), (0, &vec![3.0, 4.0, 5.0, 6.0]));
    }
}
