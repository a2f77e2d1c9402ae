//! The score table for people.

use std::fmt::Write;

use lifecycle::Score;

/// One printed block: its title, and its columns as (heading, task, horizon, metric). No horizon:
/// whichever the scores have.
struct Block {
    title: &'static str,
    columns: Vec<(String, &'static str, Option<u32>, &'static str)>,
}

/// Width of a column: a score and its interval.
const COLUMN: usize = 22;

/// The headline metrics as text: a block a task, a line a forecaster, each score with its 95 %
/// interval, `*` at the best of a column.
pub fn render_table(scores: &[Score]) -> String {
    let mut text = String::new();
    for block in blocks() {
        render_block(&mut text, &block, scores);
    }
    text
}

fn blocks() -> Vec<Block> {
    let units = |metric: &'static str| (metric.to_owned(), "units", None, metric);
    let turns = |metric: &'static str, horizon: u32| {
        ["halved", "doubled", "silent"]
            .map(|turn| (format!("{turn}, {horizon} weeks"), turn, Some(horizon), metric))
            .to_vec()
    };
    let stages = |metric: &'static str| {
        [0, 4, 13, 26]
            .map(|horizon| {
                let heading =
                    if horizon == 0 { "now".to_owned() } else { format!("in {horizon} weeks") };
                (heading, "stage", Some(horizon), metric)
            })
            .to_vec()
    };
    let mut blocks = vec![
        Block {
            title: "units sold",
            columns: ["wql", "wql_cumulative", "mase"].map(units).to_vec(),
        },
        Block { title: "", columns: ["rmsse", "bias", "coverage"].map(units).to_vec() },
    ];
    for horizon in lifecycle::OUTLOOK_WEEKS {
        blocks.push(Block { title: "turns, Brier score", columns: turns("brier", horizon) });
    }
    blocks.push(Block { title: "turns, log loss", columns: turns("log_loss", 13) });
    blocks.push(Block { title: "stage, log loss", columns: stages("log_loss") });
    blocks
}

fn render_block(text: &mut String, block: &Block, scores: &[Score]) {
    let columns: Vec<Vec<&Score>> = block
        .columns
        .iter()
        .map(|(_, task, horizon, metric)| {
            let is_here = |score: &&Score| {
                score.task == *task
                    && score.metric == *metric
                    && horizon.is_none_or(|horizon| horizon == score.horizon)
            };
            scores.iter().filter(is_here).collect()
        })
        .collect();
    let mut models: Vec<&str> = Vec::new();
    for score in columns.iter().flatten() {
        if !models.contains(&score.model.as_str()) {
            models.push(&score.model);
        }
    }
    if models.is_empty() {
        return;
    }
    // Writing to a string cannot fail.
    let _ = write!(text, "{:<20}", block.title);
    for (heading, ..) in &block.columns {
        let _ = write!(text, " {heading:>COLUMN$}");
    }
    text.push('\n');
    for model in models {
        let _ = write!(text, "  {model:<18}");
        for column in &columns {
            let _ = write!(text, " {:>COLUMN$}", entry(model, column));
        }
        text.push('\n');
    }
    let _ = write!(text, "  {:<18}", "rows");
    for column in &columns {
        let n = column.first().map_or(0, |score| score.n);
        let _ = write!(text, " {n:>COLUMN$}");
    }
    text.push_str("\n\n");
}

/// A model's score in a column.
fn entry(model: &str, column: &[&Score]) -> String {
    let Some(score) = column.iter().find(|score| score.model == model) else {
        return "-".to_owned();
    };
    if !score.identifiable {
        return "not identifiable".to_owned();
    }
    let cost = |score: &Score| lifecycle::cost(&score.metric, score.value);
    let is_best = column.iter().all(|other| cost(score) <= cost(other));
    let mark = if is_best { "*" } else { "" };
    let number = |value: f64| format!("{value:.3}");
    format!("{mark}{} [{}, {}]", number(score.value), number(score.low), number(score.high))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn score(model: &str, task: &str, metric: &str, value: f64) -> Score {
        Score {
            model: model.to_owned(),
            task: task.to_owned(),
            horizon: 13,
            metric: metric.to_owned(),
            value,
            low: value - 0.01,
            high: value + 0.01,
            n: 1234,
            identifiable: task != "stage",
        }
    }

    #[test]
    fn people_see_scores_with_intervals_and_the_best() {
        let scores = [
            score("lifecast", "units", "wql", 0.61),
            score("all zeros", "units", "wql", 1.0),
            score("lifecast", "units", "bias", -0.02),
            score("lifecast", "halved", "brier", 0.18),
            score("lifecast", "stage", "log_loss", 0.7),
        ];
        expect![[r"
            units sold                              wql         wql_cumulative                   mase
              lifecast            *0.610 [0.600, 0.620]                      -                      -
              all zeros            1.000 [0.990, 1.010]                      -                      -
              rows                                 1234                      0                      0

                                                  rmsse                   bias               coverage
              lifecast                                - *-0.020 [-0.030, -0.010]                      -
              rows                                    0                   1234                      0

            turns, Brier score         halved, 13 weeks      doubled, 13 weeks       silent, 13 weeks
              lifecast            *0.180 [0.170, 0.190]                      -                      -
              rows                                 1234                      0                      0

            stage, log loss                         now             in 4 weeks            in 13 weeks            in 26 weeks
              lifecast                                -                      -       not identifiable                      -
              rows                                    0                      0                   1234                      0

        "]].assert_eq(&render_table(&scores));
        assert_eq!(render_table(&[]), "");
    }
}
