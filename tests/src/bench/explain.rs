//! Evaluations, seconds and errors of Shapley values, beside other people's estimators.
//!
//! Errors are those of two exact games, measured on a small Transformer: the median over instances,
//! outputs and seeds of `|estimate - exact| / |exact|` (Euclidean lengths). All are asked with the
//! same budgets, the empty and the full coalition counted. What intervals cover is measured on
//! random games, and what must hold of exact values on all of them.
//!
//! Then the same on our own model, with what an explanation of it costs in seconds beside
//! `shap.KernelExplainer` on the same network in `PyTorch`, and whether explanations are faithful.

mod faithful;
mod games;
mod laws;
mod own;

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, ensure};
use explainer::coalition::Coalition;
use explainer::estimator::{Estimate, Limits, Method, estimate};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use self::games::Table;
use self::own::Own;
use super::budget::Effort;
use super::peers::Environment;
use crate::workspace_root;

/// Errors that evaluations are counted to.
const TARGETS: [f64; 2] = [0.05, 0.01];

/// One figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    /// `explain`.
    pub bench: &'static str,
    /// Game, and what of it.
    pub case: String,
    /// `evaluations`, `error`, `coverage`, `seconds` or the name of a law.
    pub metric: &'static str,
    /// Whose of ours.
    pub method: String,
    /// Ours; nothing where no budget of the grid was enough.
    pub ours: Option<f64>,
    /// The peer's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<f64>,
    /// Who that is, with its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_name: Option<String>,
    /// `lower`, or the interval that holds.
    pub better: String,
    /// Whether what must hold does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holds: Option<bool>,
    /// Errors, games or values that the figure is made of.
    pub n: usize,
}

impl Line {
    /// A line that says nothing yet.
    fn new(case: String, metric: &'static str, method: Method) -> Self {
        Self {
            bench: "explain",
            case,
            metric,
            method: method.name().to_owned(),
            ours: None,
            peer: None,
            peer_name: None,
            better: "lower".to_owned(),
            holds: None,
            n: 0,
        }
    }
}

/// The error of an estimator at a budget.
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Measured {
    game: String,
    peer: String,
    budget: usize,
    #[serde(default)]
    version: String,
    error: Option<f64>,
    #[serde(default)]
    seconds: f64,
    #[serde(default)]
    difference_max: f64,
    #[serde(default)]
    n: usize,
    why: Option<String>,
}

/// Seeds, and seconds for the peers.
fn plan(effort: Effort) -> (u64, u32, &'static [usize]) {
    const FEW: &[usize] = &[110, 420];
    const SOME: &[usize] = &[110, 150, 181, 366, 420, 500, 600, 693];
    const ALL: &[usize] = &[
        90, 100, 104, 110, 130, 150, 181, 220, 260, 300, 340, 366, 400, 420, 469, 500, 600, 681,
        693, 800, 1024, 1536, 2201, 2511, 3072,
    ];
    match effort {
        Effort::Quick => (2, 120, FEW),
        Effort::Plain => (5, 25 * 60, SOME),
        Effort::Full => (20, 7 * 3600, ALL),
    }
}

/// Measures ours, and the peers where there is an environment for them; `home` holds our own model.
pub async fn run(
    effort: Effort,
    (fixtures, home): (&Path, PathBuf),
    environment: Option<&Environment>,
    minutes: Option<u64>,
) -> anyhow::Result<Vec<Line>> {
    let (n_seeds, seconds, budgets) = plan(effort);
    let seconds = minutes.map_or(seconds, |minutes| 60 * minutes as u32);
    let own = Own::make(effort, home.clone()).await?;
    let (mut lines, of_own) = of_own(&own, effort, &home.join("explain"))?;
    if let Some(environment) = environment {
        lines.extend(own::beside_network(&own, environment, &lines)?);
    }
    let files = ["game-background-1.npy", "game-background-4.npy"].map(|name| fixtures.join(name));
    let files: Vec<PathBuf> = files.into_iter().chain(of_own).collect();
    lines.extend(laws::lines(effort));
    let ours = measured(&files, budgets, n_seeds)?;
    lines.extend(errors(&ours));
    let peers = match environment {
        Some(environment) => {
            // At all coalitions a peer must agree with the definition.
            let budgets: Vec<String> =
                budgets.iter().chain(&[4096]).map(ToString::to_string).collect();
            let mut command = script(environment, "explain.py");
            command.args(&files).args(["--budgets", &budgets.join(",")]);
            command.args(["--seeds", &n_seeds.to_string(), "--until", &TARGETS[1].to_string()]);
            command.args(["--seconds", &seconds.to_string()]);
            answered(command)?
        }
        None => Vec::new(),
    };
    lines.extend(errors(&peers));
    lines.extend(compared(&ours, &peers));
    Ok(lines)
}

/// Errors of ours on the games of some files: of each method up to the budget that is enough.
fn measured(files: &[PathBuf], budgets: &[usize], n_seeds: u64) -> anyhow::Result<Vec<Measured>> {
    let mut ours = Vec::new();
    for file in files {
        let tables = games::read(file)?;
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        for method in [Method::Gaussian, Method::Odd, Method::Leverage, Method::Permutation] {
            for budget in budgets {
                let found = measure((name.clone(), &tables), method, *budget, n_seeds);
                let is_enough = found.error.is_some_and(|error| error <= TARGETS[1]);
                ours.push(found);
                if is_enough {
                    break;
                }
            }
        }
    }
    Ok(ours)
}

/// Seconds and faithfulness of explanations of our own model, and the files of its games.
fn of_own(own: &Own, effort: Effort, folder: &Path) -> anyhow::Result<(Vec<Line>, Vec<PathBuf>)> {
    let products = own.products(if effort == Effort::Quick { 4 } else { 12 })?;
    let random = own.randomised();
    let (mut lines, mut files) = (Vec::new(), Vec::new());
    for n_background in own::BACKGROUNDS {
        let tables = own.tables(&products, n_background)?;
        for method in [Method::Gaussian, Method::Exact] {
            lines.push(own.pace(&products, &tables, (method, n_background))?.line());
        }
        if n_background == 1 {
            lines.push(faithful::randomised(&tables, &random.tables(&products, 1)?));
        } else {
            lines.extend(faithful::deletion(&tables));
        }
        files.push(own::write(folder, &format!("own-background-{n_background}"), &tables)?);
    }
    lines.extend(faithful::drivers(own)?);
    Ok((lines, files))
}

/// A script of the peers.
fn script(environment: &Environment, name: &str) -> std::process::Command {
    let mut command = std::process::Command::new(environment.interpreter());
    command.arg(workspace_root().join("tests/peers").join(name));
    command
}

/// Where the two exact games lie unless told otherwise.
pub fn fixtures() -> PathBuf {
    workspace_root().join("../shared/fixtures/shapley")
}

/// What a script of the peers prints.
fn answered<T: DeserializeOwned>(mut command: std::process::Command) -> anyhow::Result<Vec<T>> {
    let said = command.stderr(Stdio::inherit()).output()?;
    ensure!(said.status.success(), "{command:?}: {}", said.status);
    let text = String::from_utf8(said.stdout)?;
    text.lines().map(|line| serde_json::from_str(line).context("a line of a peer")).collect()
}

/// An estimate of one game within a budget.
fn estimated(table: &Table, method: Method, budget: usize, seed: u64) -> Estimate {
    let outputs = |coalitions: &[Coalition]| Ok::<_, Infallible>(table.outputs(coalitions));
    let Ok(found) =
        estimate(method, table.n_players, &Limits::evaluations(budget, seed), outputs, |_| {});
    found
}

/// The error of one of ours over all instances, outputs and seeds.
#[allow(clippy::disallowed_methods, reason = "a bench measures time")]
fn measure(
    (game, tables): (String, &[Table]),
    method: Method,
    budget: usize,
    n_seeds: u64,
) -> Measured {
    let (mut errors, mut seconds) = (Vec::new(), Vec::new());
    for table in tables {
        let exact = table.exact();
        for seed in 0..n_seeds {
            let begin = Instant::now();
            let found = estimated(table, method, budget, seed);
            seconds.push(begin.elapsed().as_secs_f64());
            let pairs = found.attributions.iter().zip(&exact);
            errors.extend(pairs.map(|(found, exact)| {
                games::distance(&found.values, &exact.values) / games::length(&exact.values)
            }));
        }
    }
    Measured {
        game,
        peer: method.name().to_owned(),
        budget,
        version: String::new(),
        n: errors.len(),
        error: Some(games::median(errors)),
        seconds: games::median(seconds),
        difference_max: 0.0,
        why: None,
    }
}

/// One line a measured error.
fn errors(all: &[Measured]) -> impl Iterator<Item = Line> + '_ {
    all.iter().map(|one| {
        let is_ours = one.version.is_empty() && one.why.is_none();
        let why = one.why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
        Line {
            bench: "explain",
            case: format!("{}, {} evaluations{why}", one.game, one.budget),
            metric: "error",
            method: if is_ours { one.peer.clone() } else { String::new() },
            ours: one.error.filter(|_| is_ours),
            peer: one.error.filter(|_| !is_ours),
            peer_name: (!is_ours).then(|| format!("{} {}", one.peer, one.version)),
            better: "lower".to_owned(),
            holds: None,
            n: one.n,
        }
    })
}

/// Evaluations and seconds to each target, beside each peer.
fn compared(ours: &[Measured], peers: &[Measured]) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut cases: Vec<(&str, &str, &str)> = peers
        .iter()
        .filter(|one| one.why.is_none())
        .map(|one| (one.game.as_str(), one.peer.as_str(), one.version.as_str()))
        .collect();
    cases.sort_unstable();
    cases.dedup();
    if peers.is_empty() {
        let mut games: Vec<&str> = ours.iter().map(|one| one.game.as_str()).collect();
        games.dedup();
        cases = games.into_iter().map(|game| (game, "", "")).collect();
    }
    let method = Method::Gaussian.name();
    for (game, peer, version) in cases {
        for target in TARGETS {
            let (mine, theirs) =
                (least(ours, (game, method), target), least(peers, (game, peer), target));
            let evaluations = |one: &Measured| one.budget as f64;
            let seconds = |one: &Measured| one.seconds;
            let figures = [
                ("evaluations", mine.map(evaluations), theirs.map(evaluations)),
                ("seconds", mine.map(seconds), theirs.map(seconds)),
            ];
            for (metric, ours, of_peer) in figures {
                lines.push(Line {
                    bench: "explain",
                    case: format!("{game}, to {} %", target * 100.0),
                    metric,
                    method: method.to_owned(),
                    ours,
                    peer: of_peer,
                    peer_name: (!peer.is_empty()).then(|| format!("{peer} {version}")),
                    better: "lower".to_owned(),
                    holds: None,
                    n: mine.map_or(0, |mine| mine.n),
                });
            }
        }
        let full = peers.iter().find(|one| {
            (one.game.as_str(), one.peer.as_str(), one.budget) == (game, peer, 4096)
                && peer.starts_with("shap Kernel")
        });
        lines.extend(full.map(|full| Line {
            bench: "explain",
            case: format!("{game}, all coalitions"),
            metric: "difference to exact values",
            method: Method::Exact.name().to_owned(),
            ours: None,
            peer: Some(full.difference_max),
            peer_name: Some(format!("{peer} {version}")),
            better: "at most 1e-6".to_owned(),
            holds: Some(full.difference_max <= 1e-6),
            n: full.n,
        }));
    }
    lines
}

/// The smallest budget from which on the error is within the target.
fn least<'a>(all: &'a [Measured], (game, peer): (&str, &str), target: f64) -> Option<&'a Measured> {
    let mut of: Vec<&Measured> =
        all.iter().filter(|one| one.game == game && one.peer == peer).collect();
    of.sort_by_key(|one| one.budget);
    of.into_iter().find(|one| one.error.is_some_and(|error| error <= target))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(peer: &str, budget: usize, error: f64) -> Measured {
        Measured {
            game: "game".to_owned(),
            peer: peer.to_owned(),
            budget,
            version: if peer == "gaussian" { String::new() } else { "1.8".to_owned() },
            error: Some(error),
            seconds: 0.1,
            difference_max: 0.0,
            n: 4,
            why: None,
        }
    }

    #[test]
    fn evaluations_are_the_smallest_budget_that_is_enough() {
        let ours = [measured("gaussian", 110, 0.04), measured("gaussian", 420, 0.008)];
        let peers = [measured("shapiq", 110, 0.09), measured("shapiq", 420, 0.03)];
        let lines = compared(&ours, &peers);
        let figures: Vec<_> = lines
            .iter()
            .filter(|line| line.metric == "evaluations")
            .map(|line| (line.case.as_str(), line.ours, line.peer))
            .collect();
        let expected =
            [("game, to 5 %", Some(110.0), Some(420.0)), ("game, to 1 %", Some(420.0), None)];
        assert_eq!(figures, expected);
        assert_eq!(compared(&ours, &[]).len(), 4, "ours alone");
    }
}
