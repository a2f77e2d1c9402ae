//! Guards: does ours learn from its targets, see nothing of the future, repeat, and stand some noise?
//!
//! | guard | holds where |
//! |---|---|
//! | random labels | trained on turns and stages dealt out at random, ours is not clearly better than the better of the base rate and its own mean answer |
//! | shifted labels | trained on the targets of a week later or earlier, it is clearly worse than ours |
//! | same bytes | two trainings, on one thread and on two, write the same files, and so do their forecasts |
//! | scrambled future | no forecast changes where all that lies after its origin does |
//! | cold start | ours is clearly ahead of two rules of thumb, and its 80 % interval covers as counts can |
//! | before launch | products of no category are answered, flagged, and with wider intervals than later |
//! | noise | of the confident answers at most 5 % flip where units are multiplied by 5 % of noise |
//!
//! Wrong labels are wrong in training and validation alike; test rows are scored on the right ones.

mod altered;
mod marginal;
mod told;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use artifacts::Order;
use evaluator::{ColdStart, OURS, Results};
use lifecycle::{Digest, Hasher, Unwatched};
use serde::Serialize;
use toml::Table;
use trainer::{Inputs, Wrong};

use super::budget::Effort;
use super::data::Data;
use super::run::say;
use super::sets::{Pipeline, Set, Subject};
use super::workshop::{Workshop, code_of, files_below};
use crate::workspace_root;
use altered::{Asked, QUESTIONS, Unlaunched};
use told::{Beside, cells, cells_of};
pub use told::{Guard, text};

/// Seed of trainings, of the order in which labels are dealt out, and of noise.
const SEED: u64 = 1;

/// Most steps of a training, but for a full run: wrong and right targets have the same.
const STEPS_MAX: i64 = 400;

/// Steps of the trainings that are compared byte by byte.
const SAME_STEPS: u64 = 100;

/// Name of the table that tells no row from another.
const MARGINAL: &str = "mean-answer";

/// Most confident answers that may flip.
const FLIPS_MAX: f64 = 0.05;

/// What a run found.
#[derive(Debug)]
pub struct Guarded {
    /// In the order of sets.
    pub guards: Vec<Guard>,
    /// What was not made, and why.
    pub missing: Vec<String>,
    /// Wall time.
    pub seconds: f64,
}

/// Guards some sets; artifacts lie below `home`.
pub async fn run(
    (effort, limit): (Effort, Duration),
    (sets, home): (Vec<Set>, PathBuf),
) -> anyhow::Result<Guarded> {
    let workshop = Workshop::open(home, limit)?;
    let (mut guards, mut missing) = (Vec::new(), Vec::new());
    for set in sets {
        let pipeline = set.pipeline(Subject::Stages, effort)?;
        let mut guarded =
            GuardedSet { workshop: &workshop, effort, set, pipeline, guards: Vec::new() };
        if let Err(error) = guarded.guard().await {
            say(&format!("missing: {}: {error:#}", set.name));
            missing.push(format!("{}: {error:#}", set.name));
        }
        guards.append(&mut guarded.guards);
    }
    Ok(Guarded { guards, missing, seconds: workshop.budget.seconds() })
}

/// What a training on wrong targets is made from.
#[derive(Debug, Clone, Serialize)]
struct WrongOrder {
    wrong: String,
    train: trainer::Config,
}

struct GuardedSet<'a> {
    workshop: &'a Workshop,
    effort: Effort,
    set: Set,
    pipeline: Pipeline,
    guards: Vec<Guard>,
}

impl GuardedSet<'_> {
    async fn guard(&mut self) -> anyhow::Result<()> {
        let data = Data::make(self.workshop, self.set, &self.pipeline).await?;
        let features = data.features.artifact;
        let model = self.stage("train", &self.settings()?, &[features_of(features)]).await?;
        self.noise_and_future(features, model).await?;
        self.same_bytes(features).await?;
        let ours = self.predict(features, model, OURS).await?;
        let found = self.scores(&data, &[(OURS.to_owned(), ours)]).await?;
        self.cold_starts(&found.cold_start);
        let week = self.weeks_periods(features).await?;
        let wrong = [
            ("random labels", Wrong::Dealt { seed: SEED }),
            ("labels a week later", Wrong::Shifted { periods: week }),
            ("labels a week earlier", Wrong::Shifted { periods: -week }),
        ];
        let mut told = BTreeMap::new();
        for (name, wrong) in wrong {
            let model = self.trained_wrong(features, wrong).await?;
            let slug = name.replace(' ', "-");
            told.insert(name, self.predict(features, model, &slug).await?);
        }
        let random = told["random labels"];
        let random =
            [(OURS.to_owned(), random), (MARGINAL.to_owned(), self.marginal(random).await?)];
        let found = self.scores(&data, &random).await?;
        self.random_labels(&found);
        let right = self.stage("train", &self.settings_alone()?, &[features_of(features)]).await?;
        let mut tables = vec![(OURS.to_owned(), self.predict(features, right, OURS).await?)];
        tables.extend(
            told.iter()
                .filter(|(name, _)| **name != "random labels")
                .map(|(name, digest)| (name.replace(' ', "-"), *digest)),
        );
        let found = self.scores(&data, &tables).await?;
        for (name, _) in tables.iter().skip(1) {
            self.shifted_labels(&found, name);
        }
        Ok(())
    }

    /// Our model's settings.
    fn settings(&self) -> anyhow::Result<Table> {
        let mut settings = self.pipeline.models[0].settings.clone();
        settings.insert("seed".to_owned(), i64::try_from(SEED)?.into());
        let steps = settings.get("steps_max").and_then(toml::Value::as_integer);
        if self.effort != Effort::Full && steps.is_none_or(|steps| steps > STEPS_MAX) {
            settings.insert("steps_max".to_owned(), STEPS_MAX.into());
        }
        Ok(settings)
    }

    /// The same of what these labels teach: without the built-in model, which knew before.
    fn settings_alone(&self) -> anyhow::Result<Table> {
        let mut settings = self.settings()?;
        settings.insert("builtin".to_owned(), "none".into());
        Ok(settings)
    }

    async fn stage(
        &self,
        stage: &str,
        settings: &Table,
        inputs: &[String],
    ) -> anyhow::Result<Digest> {
        let time = self.workshop.budget.for_scores().context("the time is over")?;
        let made = self.workshop.stage(stage, settings, inputs, time).await?;
        say(&format!(
            "{:<18} {stage:<22} {} {:>7.1} s",
            self.set.name,
            made.artifact.short(),
            made.seconds
        ));
        Ok(made.artifact)
    }

    /// A model's forecasts from the test origins.
    async fn predict(&self, features: Digest, model: Digest, name: &str) -> anyhow::Result<Digest> {
        let mut settings = self.pipeline.section("predict");
        settings.insert("name".to_owned(), name.into());
        settings.insert("latest".to_owned(), false.into());
        self.stage("predict", &settings, &[features_of(features), format!("model={model}")]).await
    }

    /// The model of a training on wrong targets.
    async fn trained_wrong(&self, features: Digest, wrong: Wrong) -> anyhow::Result<Digest> {
        self.workshop.budget.for_forecasts().context("the time for forecasts is over")?;
        let mut order = Order::new(WrongOrder {
            wrong: format!("{wrong:?}"),
            train: self.settings_alone()?.try_into()?,
        });
        order.inputs.insert("features".to_owned(), features);
        let make = move |order: &WrongOrder, folders: &artifacts::Folders, output: &Path| {
            let features = vec![&*folders["features"]];
            let inputs = Inputs { features, base: None, checkpoint: None };
            trainer::run_wrong(&order.train, &inputs, output, wrong)?;
            Ok(())
        };
        let code = training_code()?;
        let made = self.workshop.publish(("train-wrong", &code), order, make).await?;
        say(&format!(
            "{:<18} train on {wrong:?} {} {:>7.1} s",
            self.set.name,
            made.artifact.short(),
            made.seconds
        ));
        Ok(made.artifact)
    }

    /// A table that says of all rows what another says on average.
    async fn marginal(&self, forecasts: Digest) -> anyhow::Result<Digest> {
        let mut order = Order::new("turns and stages by their means");
        order.inputs.insert("forecasts".to_owned(), forecasts);
        let make = |_: &&str, folders: &artifacts::Folders, output: &Path| {
            marginal::write(&folders["forecasts"], output)
        };
        let code = code_of(&[workspace_root().join("tests/src/bench/guards/marginal.rs")])?;
        Ok(self.workshop.publish(("marginal", &code), order, make).await?.artifact)
    }

    /// All scores of some tables of forecasts, on the truth where it is known.
    async fn scores(&self, data: &Data, tables: &[(String, Digest)]) -> anyhow::Result<Results> {
        let mut arguments = vec![features_of(data.features.artifact)];
        arguments.extend(data.simulate.map(|made| format!("truth={}", made.artifact)));
        let named = |(name, digest): &(String, Digest)| {
            format!("{}{name}={digest}", evaluator::Inputs::FORECASTS)
        };
        arguments.extend(tables.iter().map(named));
        let found = self.stage("evaluate", &self.pipeline.section("evaluate"), &arguments).await?;
        let path = self.workshop.fetched(found).await?.join("scores.json");
        Ok(serde_json::from_slice(&std::fs::read(path)?)?)
    }

    async fn weeks_periods(&self, features: Digest) -> anyhow::Result<i32> {
        let features = tables::FeaturesDir::open(self.workshop.fetched(features).await?)?;
        Ok(features.meta().frequency.periods_of_weeks(1).max(1) as i32)
    }

    /// Not clearly better: what is learnt from noise is no more than how often each comes.
    fn random_labels(&mut self, found: &Results) {
        let marginal = cells(found, MARGINAL);
        for cell in cells(found, "base rate") {
            let is_same =
                |other: &&Beside| (&other.name, &other.metric) == (&cell.name, &cell.metric);
            let other = marginal.iter().find(is_same).filter(|other| other.other < cell.other);
            let (best, name) = other.map_or((&cell, "base rate"), |other| (other, MARGINAL));
            let case = format!("{} {}, random labels", self.set.name, cell.name);
            self.guards.push(best.guard(case, name, best.high >= 0.0));
        }
    }

    fn shifted_labels(&mut self, found: &Results, name: &str) {
        for cell in cells(found, name) {
            let cell = cell.turned_round();
            let holds = cell.low > 0.0;
            let case = format!("{} {}, {}", self.set.name, cell.name, name.replace('-', " "));
            self.guards.push(cell.guard(case, OURS, holds));
        }
    }

    /// Ours beside the rules of thumb, and whether .1 and .9 are met: the 80 % interval.
    fn cold_starts(&mut self, found: &ColdStart) {
        let what = format!("{} cold starts", self.set.name);
        for peer in ["nearest attributes", "category shape"] {
            for cell in cells_of(&found.comparison, peer) {
                let holds = cell.high < 0.0;
                self.guards.push(cell.guard(format!("{what}, {}", cell.name), peer, holds));
            }
        }
        let carries = found.comparison.counts.iter().any(|counts| counts.identifiable);
        for covered in &found.coverage {
            let levels = covered.levels.levels.iter();
            for level in levels.filter(|level| level.level == 0.1 || level.level == 0.9) {
                self.guards.push(Guard {
                    case: format!("{what}, {} at {}", covered.model, level.level),
                    metric: "below, at_most".to_owned(),
                    value: level.below,
                    beside: level.at_most,
                    beside_name: "at most".to_owned(),
                    n: found.rows,
                    identifiable: carries,
                    holds: level.met,
                    ..Guard::of_set()
                });
            }
        }
        self.guards.push(Guard {
            case: format!("{what}, rows of {} products that are flagged", found.products),
            metric: "flagged".to_owned(),
            value: found.flagged as f64,
            beside: found.rows as f64,
            beside_name: "rows".to_owned(),
            n: found.rows,
            identifiable: found.rows > 0,
            holds: found.flagged == found.rows,
            ..Guard::of_set()
        });
    }

    fn before_launch(&mut self, found: Unlaunched) {
        let what = format!("{} before launch, no known category", self.set.name);
        let Unlaunched { n, n_valid, n_flagged, n_older, n_wider } = found;
        for (metric, value, beside, holds) in [
            ("answered", n_valid, n, n_valid == n),
            ("flagged", n_flagged, n, n_flagged == n),
            ("wider than at 13 weeks", n_wider, n_older, 2 * n_wider > n_older),
        ] {
            self.guards.push(Guard {
                case: what.clone(),
                metric: metric.to_owned(),
                value: value as f64,
                beside: beside as f64,
                beside_name: "products".to_owned(),
                n: beside,
                identifiable: beside > 0,
                holds,
                ..Guard::of_set()
            });
        }
    }

    /// Two short trainings, on one thread and on two, and the forecasts of both.
    async fn same_bytes(&mut self, features: Digest) -> anyhow::Result<()> {
        let folder = self.workshop.fetched(features).await?;
        let settings = self.settings()?.try_into::<trainer::Config>()?;
        let config = trainer::Config { steps_max: SAME_STEPS.min(settings.steps_max), ..settings };
        let digests = tokio::task::spawn_blocking(move || {
            [1, 2].map(|n_threads| written_on(&folder, &config, n_threads))
        });
        let [one, two] = digests.await?;
        let (one, two) = (one?, two?);
        for (what, one, two) in [("model", one[0], two[0]), ("forecasts", one[1], two[1])] {
            say(&format!(
                "{:<18} {what} on 1 thread {}, on 2 {}",
                self.set.name,
                one.short(),
                two.short()
            ));
            let n_same = f64::from(u8::from(one == two));
            self.guards.push(Guard {
                case: format!("{} {what} of two trainings, 1 and 2 threads", self.set.name),
                metric: "bytes_equal".to_owned(),
                value: n_same,
                beside: 1.0,
                beside_name: "equal".to_owned(),
                n: 2,
                holds: one == two,
                ..Guard::of_set()
            });
        }
        Ok(())
    }

    async fn noise_and_future(&mut self, features: Digest, model: Digest) -> anyhow::Result<()> {
        let features = self.workshop.fetched(features).await?;
        let model = self.workshop.fetched(model).await?;
        let found = tokio::task::spawn_blocking(move || {
            let asked = Asked::open(&features, &model)?;
            anyhow::Ok((asked.changed_by_the_future()?, asked.flips(SEED)?, asked.before_launch()?))
        });
        let ([n, n_changed], flips, unlaunched) = found.await??;
        self.before_launch(unlaunched);
        self.guards.push(Guard {
            case: format!("{} future scrambled", self.set.name),
            metric: "forecasts_changed".to_owned(),
            value: n_changed as f64,
            beside: 0.0,
            beside_name: "none".to_owned(),
            n,
            holds: n > 0 && n_changed == 0,
            ..Guard::of_set()
        });
        for (question, flips) in QUESTIONS.iter().zip(flips) {
            let Some(flips) = flips else { continue };
            let [share, low, high] = flips.share;
            self.guards.push(Guard {
                case: format!("{} {question}, 5 % noise", self.set.name),
                metric: "share_flipped".to_owned(),
                value: share,
                beside: FLIPS_MAX,
                beside_name: "limit".to_owned(),
                low: Some(low),
                high: Some(high),
                n: flips.n,
                holds: share <= FLIPS_MAX,
                ..Guard::of_set()
            });
        }
        Ok(())
    }
}

fn features_of(features: Digest) -> String {
    format!("features={features}")
}

/// The digests of a model that is trained on so many threads, and of its forecasts.
fn written_on(
    features: &Path,
    config: &trainer::Config,
    n_threads: usize,
) -> anyhow::Result<[Digest; 2]> {
    let folder = tempfile::tempdir()?;
    let (model, forecasts) = (folder.path().join("model"), folder.path().join("forecasts"));
    std::fs::create_dir_all(&model)?;
    std::fs::create_dir_all(&forecasts)?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build()?;
    pool.install(|| {
        let inputs = Inputs { features: vec![features], base: None, checkpoint: None };
        trainer::run(config, &inputs, &model, &Unwatched)?;
        let inputs = predictor::Inputs { features, model: &model };
        let settings = predictor::Config { latest: false, ..predictor::Config::default() };
        predictor::run(&settings, &inputs, &forecasts, &Unwatched)?;
        anyhow::Ok(())
    })?;
    Ok([digest_of(&model)?, digest_of(&forecasts)?])
}

/// The digest of a folder's files by their paths in it.
fn digest_of(folder: &Path) -> anyhow::Result<Digest> {
    let mut hasher = Hasher::default();
    for path in files_below(folder, &[""])? {
        let name = path.strip_prefix(folder)?.display().to_string();
        hasher.update(format!("{name} {}\n", Digest::of(std::fs::read(&path)?)));
    }
    Ok(hasher.finish())
}

/// The version of what decides a training.
fn training_code() -> anyhow::Result<Digest> {
    let root = workspace_root();
    let mut files = vec![root.join("Cargo.lock")];
    for name in ["lifecycle", "panel", "tables", "model", "trainer"] {
        files.extend(files_below(&root.join("crates").join(name).join("src"), &[".rs"])?);
    }
    code_of(&files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_the_digest_of_its_files() {
        let folders =
            [tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder")];
        for folder in &folders {
            std::fs::write(folder.path().join("a"), "one").expect("written");
        }
        let digest = |at: usize| digest_of(folders[at].path()).expect("read");
        assert_eq!(digest(0), digest(1));
        std::fs::write(folders[1].path().join("a"), "two").expect("written");
        assert_ne!(digest(0), digest(1));
    }
}
