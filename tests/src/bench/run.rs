//! A run: makes what is not there yet, the surest first, and scores what there is.
//!
//! Order: every set's data and our models; then, seed by seed, the peers of all sets from cheap to
//! heavy, and those that combine the others; then one evaluation a set and seed, in which all
//! forecasters meet the same rows. What does not fit into the time is named as missing; the next
//! run goes on from there.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use evaluator::{Calibrations, OURS, Results};
use lifecycle::{Digest, Frequency};

use super::budget::Effort;
use super::data::{self, Data};
use super::exchange;
use super::peers::{Cost, Environment, Peer};
use super::sets::{Model, Pipeline, Set, Subject};
use super::workshop::{Made, Workshop};

/// All forecasters of a set under one seed, scored.
#[derive(Debug, Clone)]
pub struct Scored {
    /// The set.
    pub set: Set,
    /// Seed of models and peers.
    pub seed: u64,
    /// Length of its periods.
    pub frequency: Frequency,
    /// Scores, differences, counts.
    pub results: Results,
    /// Calibration of turns, coverage of units.
    pub calibrations: Calibrations,
}

/// What a run found.
#[derive(Debug)]
pub struct Outcome {
    /// In the order of sets and seeds.
    pub scored: Vec<Scored>,
    /// What was not made, and why.
    pub missing: Vec<String>,
    /// Content digests by what they are.
    pub digests: BTreeMap<String, Digest>,
    /// Wall time.
    pub seconds: f64,
}

/// Runs one bench on some sets for so long, of peers `only` these where any are named; artifacts lie
/// below `home`.
pub async fn run(
    subject: Subject,
    (effort, limit): (Effort, Duration),
    (sets, home): (Vec<Set>, PathBuf),
    only: &[String],
) -> anyhow::Result<Outcome> {
    let mut run = Run {
        workshop: Workshop::open(home, limit)?,
        subject,
        effort,
        works: Vec::new(),
        missing: Vec::new(),
        digests: BTreeMap::new(),
    };
    for set in sets {
        if let Err(error) = run.prepare(set).await {
            run.miss(set.name, &error);
        }
    }
    for seed in effort.seeds() {
        for at in 0..run.works.len() {
            run.models(at, *seed).await;
        }
    }
    run.peers(only).await;
    let scored = run.score().await;
    Ok(Outcome {
        scored,
        missing: run.missing,
        digests: run.digests,
        seconds: run.workshop.budget.seconds(),
    })
}

/// A set at work.
#[derive(Debug)]
struct Work {
    set: Set,
    pipeline: Pipeline,
    truth: Option<Digest>,
    features: Digest,
    exchange: Digest,
    /// By seed and name of the forecaster.
    forecasts: BTreeMap<(u64, String), Digest>,
}

struct Run {
    workshop: Workshop,
    subject: Subject,
    effort: Effort,
    works: Vec<Work>,
    missing: Vec<String>,
    digests: BTreeMap<String, Digest>,
}

impl Run {
    /// Time for one more piece of work, or an error that there is none.
    fn time(&self) -> anyhow::Result<Duration> {
        self.workshop.budget.for_forecasts().context("the time for forecasts is over")
    }

    fn miss(&mut self, what: &str, why: &anyhow::Error) {
        say(&format!("missing: {what}: {why:#}"));
        self.missing.push(format!("{what}: {why:#}"));
    }

    fn note(&mut self, what: String, made: Made) -> Digest {
        let how = if made.cached { "found" } else { "made" };
        say(&format!("{what:<44} {how:<5} {} {:>7.1} s", made.artifact.short(), made.seconds));
        self.digests.insert(what, made.artifact);
        made.artifact
    }

    /// Data, features and exchange of a set.
    async fn prepare(&mut self, set: Set) -> anyhow::Result<()> {
        let pipeline = set.pipeline(self.subject, self.effort)?;
        let data = Data::make(&self.workshop, set, &pipeline).await?;
        let truth = data.simulate.map(|made| self.note(format!("{} simulate", set.name), made));
        self.note(format!("{} ingest", set.name), data.ingest);
        let features = self.note(format!("{} features", set.name), data.features);
        let made = data::exchange(&self.workshop, set, &pipeline, features).await?;
        let exchange = self.note(format!("{} exchange", set.name), made);
        let forecasts = BTreeMap::new();
        self.works.push(Work { set, pipeline, truth, features, exchange, forecasts });
        Ok(())
    }

    /// Our models and their forecasts of one set.
    async fn models(&mut self, at: usize, seed: u64) {
        for model in self.works[at].pipeline.models.clone() {
            let what = format!("{} {} {seed}", self.works[at].set.name, model.name);
            match self.model(at, &model, seed).await {
                Ok(made) => {
                    let digest = self.note(what, made);
                    self.works[at].forecasts.insert((seed, model.name), digest);
                }
                Err(error) => self.miss(&what, &error),
            }
        }
    }

    async fn model(&mut self, at: usize, model: &Model, seed: u64) -> anyhow::Result<Made> {
        let features = format!("features={}", self.works[at].features);
        let mut settings = model.settings.clone();
        settings.insert("seed".to_owned(), i64::try_from(seed)?.into());
        let arguments = [features.clone()];
        let trained = self.workshop.stage("train", &settings, &arguments, self.time()?).await?;
        let mut settings = self.works[at].pipeline.section("predict");
        settings.insert("name".to_owned(), model.name.clone().into());
        settings.insert("latest".to_owned(), false.into());
        let arguments = [features, format!("model={}", trained.artifact)];
        let made = self.workshop.stage("predict", &settings, &arguments, self.time()?).await?;
        let seconds = trained.seconds + made.seconds;
        Ok(Made { cached: trained.cached && made.cached, seconds, ..made })
    }

    /// All peers that say something of the subject.
    async fn peers(&mut self, only: &[String]) {
        let prepared = match self.time() {
            Ok(time) => self.environment(time).await,
            Err(error) => Err(error),
        };
        let (environment, peers) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => {
                self.miss("peers in Python (ours is measured alone)", &error);
                return;
            }
        };
        for name in only {
            if peers.iter().all(|peer| peer.name != *name) {
                self.miss(name, &anyhow::anyhow!("run.py --list has no such peer"));
            }
        }
        let asked = asked(self.subject);
        let (peers, rest): (Vec<Peer>, Vec<Peer>) = peers
            .into_iter()
            .filter(|peer| peer.says(asked).is_some())
            .partition(|peer| only.is_empty() || only.contains(&peer.name));
        for peer in rest {
            self.miss(&peer.name, &anyhow::anyhow!("left out by --peer"));
        }
        for seed in self.effort.seeds() {
            for cost in [Cost::Cheap, Cost::Medium, Cost::Heavy] {
                let of_cost = peers.iter().filter(|peer| peer.cost == cost && !peer.needs_inputs);
                for peer in of_cost {
                    for at in 0..self.works.len() {
                        self.peer(&environment, at, (peer, *seed)).await;
                    }
                }
            }
            for peer in peers.iter().filter(|peer| peer.needs_inputs) {
                for at in 0..self.works.len() {
                    self.combined(&environment, at, (peer, *seed), &peers).await;
                }
            }
        }
    }

    async fn environment(&self, time: Duration) -> anyhow::Result<(Environment, Vec<Peer>)> {
        let environment = Environment::prepare(time).await?;
        let peers = environment.peers().await?;
        Ok((environment, peers))
    }

    async fn peer(&mut self, environment: &Environment, at: usize, (peer, seed): (&Peer, u64)) {
        self.forecasts(environment, at, (peer, seed), &[]).await;
    }

    /// A peer that is made of all those others which say something.
    async fn combined(
        &mut self,
        environment: &Environment,
        at: usize,
        (peer, seed): (&Peer, u64),
        peers: &[Peer],
    ) {
        let made = |other: &Peer| {
            let found = self.works[at].forecasts.get(&(seed, other.name.clone()));
            found.map(|digest| (other.name.clone(), *digest))
        };
        let others = peers.iter().filter(|other| !other.needs_inputs);
        let inputs: Vec<(String, Digest)> = others.filter_map(made).collect();
        if inputs.len() >= 2 {
            self.forecasts(environment, at, (peer, seed), &inputs).await;
        }
    }

    async fn forecasts(
        &mut self,
        environment: &Environment,
        at: usize,
        (peer, seed): (&Peer, u64),
        inputs: &[(String, Digest)],
    ) {
        let work = &self.works[at];
        let what = format!("{} {} {seed}", work.set.name, peer.name);
        // What is found costs no time: even a run whose time is over takes it.
        // No peer may take all that is left, or those after it would never have a turn.
        let share = if self.effort == Effort::Full { 1.0 } else { 0.5 };
        let time = self.time().unwrap_or_default().mul_f64(share);
        let Some(only) = peer.says(asked(self.subject)) else { return };
        let asked = (peer, seed, only);
        let made =
            environment.forecasts(&self.workshop, asked, work.exchange, (inputs, time)).await;
        match made {
            Ok(made) => {
                let digest = self.note(what, made);
                self.works[at].forecasts.insert((seed, peer.name.clone()), digest);
            }
            Err(error) => self.miss(&what, &error),
        }
    }

    /// One evaluation a set and seed; of stages, on the truth and on the label.
    async fn score(&mut self) -> Vec<Scored> {
        let mut scored = Vec::new();
        for at in 0..self.works.len() {
            for seed in self.effort.seeds() {
                let is_told = self.subject == Subject::Stages && self.works[at].truth.is_some();
                let with_truth: &[bool] = if is_told { &[true, false] } else { &[true] };
                for with_truth in with_truth {
                    let what = format!("{} scores {seed}", self.works[at].set.name);
                    match self.evaluate(at, *seed, *with_truth).await {
                        Ok(found) => scored.push(found),
                        Err(error) => self.miss(&what, &error),
                    }
                }
            }
        }
        scored
    }

    async fn evaluate(&mut self, at: usize, seed: u64, truth: bool) -> anyhow::Result<Scored> {
        let work = &self.works[at];
        let mut arguments = vec![format!("features={}", work.features)];
        arguments.extend(work.truth.filter(|_| truth).map(|digest| format!("truth={digest}")));
        let of_seed = work.forecasts.iter().filter(|((of, _), _)| *of == seed);
        let tables: Vec<String> = of_seed
            .map(|((_, name), digest)| format!("{}{name}={digest}", evaluator::Inputs::FORECASTS))
            .collect();
        let ours = (seed, OURS.to_owned());
        anyhow::ensure!(work.forecasts.contains_key(&ours), "ours has no forecasts");
        arguments.extend(tables);
        let time = self.workshop.budget.for_scores().context("the time is over")?;
        let settings = work.pipeline.section("evaluate");
        let (set, exchange) = (work.set, work.exchange);
        let made = self.workshop.stage("evaluate", &settings, &arguments, time).await?;
        let of_what = if truth { "" } else { " on the label" };
        let digest = self.note(format!("{} scores{of_what} {seed}", set.name), made);
        let folder = self.workshop.fetched(digest).await?;
        let read = |name: &str| std::fs::read(folder.join(name)).context(name.to_owned());
        Ok(Scored {
            set,
            seed,
            frequency: frequency(&self.workshop.fetched(exchange).await?)?,
            results: serde_json::from_slice(&read("scores.json")?)?,
            calibrations: serde_json::from_slice(&read("calibration.json")?)?,
        })
    }
}

fn frequency(exchange: &Path) -> anyhow::Result<Frequency> {
    let meta: exchange::Meta = serde_json::from_slice(&std::fs::read(exchange.join("meta.json"))?)?;
    Ok(meta.frequency)
}

/// What peers are asked for, the first of these that they can say. Turns follow from units, by
/// sample paths.
fn asked(subject: Subject) -> &'static [&'static str] {
    match subject {
        Subject::Turns => &["turns", "units"],
        Subject::Accuracy => &["units"],
        Subject::Stages => &["stages"],
        Subject::Ablation => &[],
    }
}

/// Tells people; results go to stdout.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}"); // nobody may be listening
}
