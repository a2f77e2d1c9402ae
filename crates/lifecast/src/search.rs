//! `lifecast train --search SEARCH.toml`: successive halving over settings of a training.
//!
//! Each trial is an ordinary training whose model goes to the store, so a search that was killed
//! finds what was finished, and one that is repeated trains nothing. `search/KEY.jsonl` of the work
//! folder has a line a trial; a search that goes on keeps the seconds that its trials took.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use lifecycle::{Digest, Invalid};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use trainer::{Rung, Search, Trial, Validation, best_of, validation_of};

use crate::failure::Failure;
use crate::stages::{Job, Stages};
use crate::toml_file;

/// What a search found.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Found {
    /// The best settings, as TOML for `[[model]]` or `--config`.
    pub(crate) best: String,
    /// The trial that has them.
    pub(crate) trial: usize,
    /// Its model, without trees.
    pub(crate) artifact: Digest,
    /// Every trial on every rung, in the order in which they were done.
    pub(crate) trials: Vec<Line>,
    /// The same as JSON lines.
    pub(crate) log: PathBuf,
}

/// One trial on one rung.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line {
    trial: usize,
    rung: usize,
    steps: u64,
    settings: BTreeMap<String, Value>,
    /// Losses on validation rows; `None` of a training that came to none.
    validation: Option<Validation>,
    artifact: Digest,
    /// Nothing had to be trained.
    cached: bool,
    /// Wall time of the training, when it was trained.
    seconds: f64,
}

impl Line {
    /// What trials are compared by.
    fn loss(&self) -> f64 {
        self.validation.map_or(f64::NAN, |validation| validation.combined)
    }
}

/// Searches from the settings and inputs of a job of `train`.
pub(crate) async fn search(
    stages: &mut Stages,
    job: Job<trainer::Config>,
    (file, work): (&Path, &Path),
) -> Result<Found, Failure> {
    let search: Search = toml_file::read(file, "search").map_err(Failure::usage)?;
    let given = &job.order.config;
    given.validate().map_err(|invalid| Failure::usage(invalid.into()))?;
    let wrong = |invalid: Invalid| {
        let context = format!("{}: is not a valid search", file.display());
        Failure::usage(anyhow::Error::new(invalid).context(context))
    };
    let trials = search.trials(given).map_err(wrong)?;
    let mut log = Log::open(work, &search, &job)?;
    let mut alive: Vec<usize> = (0..trials.len()).collect();
    let mut judged = Vec::new();
    for (number, Rung { steps, n_trials }) in search.rungs().into_iter().enumerate() {
        if number > 0 {
            alive = best_of(&judged, n_trials);
        }
        judged.clear();
        for trial in alive.iter().map(|trial| &trials[*trial]) {
            let config = search.config(trial, given, steps).map_err(wrong)?;
            let name = format!("rung {number} trial {}", trial.number);
            let mut of_trial = Job::new("train", config).named(name);
            of_trial.order.inputs.clone_from(&job.order.inputs);
            let line = train(stages, of_trial, (trial, number)).await?;
            judged.push((trial.number, line.loss()));
            log.note(line)?;
        }
    }
    let [best] = best_of(&judged, 1)[..] else {
        return Err(Failure::internal(anyhow::anyhow!("a search has a trial")));
    };
    let Log { lines, path, .. } = log;
    let last = lines.iter().rfind(|line| line.trial == best);
    let artifact = last.map(|line| line.artifact).context("the best was trained");
    Ok(Found {
        best: settings_toml(&trials[best], search.steps_max),
        trial: best,
        artifact: artifact.map_err(Failure::internal)?,
        trials: lines,
        log: path,
    })
}

/// Trains one trial, or finds it, and says how good it is.
async fn train(
    stages: &mut Stages,
    job: Job<trainer::Config>,
    (trial, rung): (&Trial, usize),
) -> Result<Line, Failure> {
    let steps = job.order.config.steps_max;
    let artifact = stages.train(job).await?;
    let validation = validation_of(&stages.fetched(artifact).await?)?;
    let outcome = stages.outcomes.last().context("no stage ran").map_err(Failure::internal)?;
    let (cached, seconds) = (outcome.cached, outcome.seconds);
    let settings = trial.settings.clone();
    let line =
        Line { trial: trial.number, rung, steps, settings, validation, artifact, cached, seconds };
    crate::say(&format!("{:>18}  loss {:.4}", "", line.loss()));
    Ok(line)
}

/// The lines of this search, on disk after each trial.
struct Log {
    path: PathBuf,
    /// What an earlier run of the same search wrote.
    before: Vec<Line>,
    lines: Vec<Line>,
}

impl Log {
    fn open(work: &Path, search: &Search, job: &Job<trainer::Config>) -> Result<Self, Failure> {
        let asked = serde_json::to_string(&(search, &job.order.config, &job.order.inputs));
        let key = Digest::of(asked.map_err(|error| Failure::internal(error.into()))?);
        let folder = work.join("search");
        std::fs::create_dir_all(&folder).map_err(|error| Failure::file(&folder, error))?;
        let path = folder.join(format!("{}.jsonl", key.short()));
        // The last line of a search that was killed may be cut off.
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let before = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        Ok(Self { path, before, lines: Vec::new() })
    }

    fn note(&mut self, line: Line) -> Result<(), Failure> {
        let is_same = |other: &&Line| other.artifact == line.artifact && other.rung == line.rung;
        let before = self.before.iter().find(is_same).filter(|_| line.cached);
        let seconds = before.map_or(line.seconds, |before| before.seconds);
        self.lines.push(Line { seconds, ..line });
        let lines = self.lines.iter().filter_map(|line| serde_json::to_string(line).ok());
        let text = lines.fold(String::new(), |text, line| text + &line + "\n");
        // In one piece, so that a search that is killed here still has its seconds.
        let fresh = self.path.with_extension("new");
        std::fs::write(&fresh, text).map_err(|error| Failure::file(&fresh, error))?;
        std::fs::rename(&fresh, &self.path).map_err(|error| Failure::file(&self.path, error))
    }
}

/// Settings as keys of a configuration, those of tables with a dot.
fn settings_toml(trial: &Trial, steps: u64) -> String {
    let settings = trial.settings.iter().map(|(path, value)| format!("{path} = {value}\n"));
    settings.fold(format!("steps_max = {steps}\n"), |text, line| text + &line)
}

impl Found {
    /// The table of trials, and the best settings, for people.
    pub(crate) fn text(&self) -> String {
        let mut text = format!(
            "{:>4} {:>5} {:>7} {:>9} {:>8} {:>8} {:>8} {:>8}  settings\n",
            "rung", "trial", "steps", "loss", "wql", "turns", "stages", "seconds"
        );
        let mut lines: Vec<&Line> = self.trials.iter().collect();
        lines.sort_by(|a, b| b.rung.cmp(&a.rung).then(a.loss().total_cmp(&b.loss())));
        for line in lines {
            let of = |part: fn(&Validation) -> f64| {
                line.validation.as_ref().map_or_else(|| "-".into(), |v| format!("{:.4}", part(v)))
            };
            let settings = line.settings.iter().map(|(path, value)| format!("{path} = {value}"));
            let _ = writeln!(
                text,
                "{:>4} {:>5} {:>7} {:>9} {:>8} {:>8} {:>8} {:>8.1}  {}",
                line.rung,
                line.trial,
                line.steps,
                of(|v| v.combined),
                of(|v| v.wql),
                of(|v| v.turns),
                of(|v| v.stages),
                line.seconds,
                settings.collect::<Vec<_>>().join(", ")
            );
        }
        let (log, trial) = (self.log.display(), self.trial);
        let given = if trial == 0 { ", the settings that were given" } else { "" };
        let _ = write!(text, "\n# {log}\n# trial {trial}{given}\n{}", self.best);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_searches_that_are_shipped_are_valid() {
        for name in ["two-cores.toml", "gpu.toml"] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/search");
            let search: Search = toml_file::read(&folder.join(name), "search").expect(name);
            let trials = search.trials(&trainer::Config::default()).expect(name);
            assert_eq!(trials.len(), search.trials);
        }
    }

    #[test]
    fn the_best_settings_are_a_configuration() {
        let settings = [("losses.turns", 0.5.into()), ("optimiser", "sgd".into())];
        let settings = settings.map(|(path, value): (_, Value)| (path.to_owned(), value)).into();
        let text = settings_toml(&Trial { number: 3, settings }, 90);
        let config: trainer::Config = toml::from_str(&text).expect("a configuration");
        assert_eq!((config.steps_max, config.losses.turns), (90, 0.5));
        assert_eq!(config.optimiser, trainer::OptimiserKind::Sgd);
    }
}
