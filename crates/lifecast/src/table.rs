//! The score table in a terminal: the cells that decide, ours beside the best rule.

use std::collections::BTreeMap;
use std::fmt::Write;

use lifecycle::{Score, cost};

use crate::pipeline::OURS;

/// Metrics of the short table, with whether a smaller value is better.
const SHOWN: [&str; 7] =
    ["brier", "log_loss", "wql", "wql_cumulative", "rps", "macro_f1", "macro_f1_decided"];

/// One line a (task, horizon, metric): ours with its interval, and the best of the others.
pub(crate) fn headline(scores: &[Score]) -> String {
    let mut cells: BTreeMap<(&str, u32, &str), Vec<&Score>> = BTreeMap::new();
    for score in scores.iter().filter(|score| SHOWN.contains(&score.metric.as_str())) {
        cells.entry((&score.task, score.horizon, &score.metric)).or_default().push(score);
    }
    let mut text = format!(
        "{:<8} {:>7} {:<16} {:>8} {:>17}   best other\n",
        "task", "horizon", "metric", "ours", "95 %"
    );
    for ((task, horizon, metric), scores) in cells {
        let Some(ours) = scores.iter().find(|score| score.model == OURS) else { continue };
        let cost = |score: &Score| cost(metric, score.value);
        let others = scores.iter().filter(|score| score.model != OURS);
        let best = others.min_by(|a, b| cost(a).total_cmp(&cost(b)));
        let mark = match best {
            _ if !ours.identifiable => " not identifiable",
            Some(best) if cost(best) >= cost(ours) => "",
            // Whether it is more than chance: the paired verdicts of the report are sharper.
            Some(best) if (ours.low..=ours.high).contains(&best.value) => " (close)",
            Some(_) => " behind",
            _ => "",
        };
        let best = best.map_or(String::new(), |best| format!("{:.4} {}", best.value, best.model));
        let interval = format!("{:.4} to {:.4}", ours.low, ours.high);
        let _ = writeln!(
            text,
            "{task:<8} {horizon:>7} {metric:<16} {:>8.4} {interval:>17}   {best}{mark}",
            ours.value
        );
    }
    text
}
