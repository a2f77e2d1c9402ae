//! Our own model on the simulated marketplace: its games with all coalitions, and how long one
//! explanation of it takes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, ensure};
use explainer::background::Background;
use explainer::coalition::all_coalitions;
use explainer::estimator::Method;
use explainer::explained::InProcess;
use explainer::game::Game;
use explainer::players::{Cut, Family, players_of};
use explainer::{Config, Question};
use lifecycle::{Attribution, Period, ProductId};
use model::{Model, initial_weights};
use panel::{CategoryUnits, History, Panel, PanelMeta, category_units};
use serde::Deserialize;
use serde_json::Value;
use tables::{FeaturesDir, Truth};

use super::games::{self, Table, distance, length, median};
use super::{Line, answered, script};
use crate::bench::budget::Effort;
use crate::bench::data::Data;
use crate::bench::peers::Environment;
use crate::bench::sets::{self, Subject};
use crate::bench::workshop::Workshop;
use crate::gpu::shape;

/// The set that it is trained on.
const SET: &str = "simulator-1";

/// Families in pieces, so that a product of which all is known has [`N_PLAYERS`].
const SPLIT: [Family; 2] = [Family::Sales, Family::Traffic];

/// Players of every game here.
pub(super) const N_PLAYERS: usize = 10;

/// Background rows of an explanation, as figures are quoted.
pub(super) const BACKGROUNDS: [usize; 2] = [1, 8];

/// Seconds that one explanation at 5 % error may take with so many.
const SECONDS_MAX: [f64; 2] = [0.1, 1.0];

/// How many times as fast as `shap.KernelExplainer` ours is at least.
const FASTER_LEAST: f64 = 5.0;

/// A trained model, and what it forecasts.
pub(super) struct Own {
    panel: Panel,
    meta: PanelMeta,
    categories: BTreeMap<String, CategoryUnits>,
    model: Arc<Model>,
    pub(super) truth: BTreeMap<ProductId, Truth>,
}

/// How long explanations took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub(super) method: Method,
    pub(super) n_background: usize,
    /// Median over products.
    pub(super) seconds: f64,
    /// Median over products and outputs of the true relative error.
    pub(super) error: f64,
    /// Median of model evaluations.
    pub(super) n_evaluations: f64,
    pub(super) n: usize,
}

impl Own {
    /// Trains the model below `home`, or finds it.
    pub(super) async fn make(effort: Effort, home: PathBuf) -> anyhow::Result<Self> {
        let workshop = Workshop::open(home, effort.limit())?;
        let set = sets::sets(Subject::Stages, effort, &[SET.to_owned()])?;
        let set = *set.first().context("there is no such set")?;
        let pipeline = set.pipeline(Subject::Stages, effort)?;
        let data = Data::make(&workshop, set, &pipeline).await?;
        let time = workshop.budget.for_forecasts().context("no time is left for a training")?;
        let features = data.features.artifact;
        let settings = &pipeline.models[0].settings;
        let arguments = [format!("features={features}")];
        let model = workshop.stage("train", settings, &arguments, time).await?;
        let model = Arc::new(Model::load(&workshop.fetched(model.artifact).await?)?);
        let features = FeaturesDir::open(workshop.fetched(features).await?)?;
        let model = model.on(features.fitted(), features.meta().settings)?;
        let panel = features.panel()?;
        let meta = panel.meta(model.settings(features.meta().settings));
        let simulated = data.simulate.context("the set is simulated")?.artifact;
        let truth = workshop.fetched(simulated).await?.join("truth/truth.parquet");
        let truth = tables::read::<Truth>(&truth)?.into_iter();
        let truth = truth.map(|truth| (truth.product.clone(), truth)).collect();
        Ok(Self { categories: category_units(&panel), panel, meta, model, truth })
    }

    /// The same with networks that have learnt nothing, and no trees.
    pub(super) fn randomised(&self) -> Self {
        let networks = self.model.members();
        let description = self.model.description().clone();
        let weights = networks.iter().flat_map(|network| initial_weights(&network.layout(), 1));
        let fitted = self.model.fitted().clone();
        let model = Arc::new(Model::new(description, networks, weights.collect(), fitted));
        let (panel, meta, truth) = (self.panel.clone(), self.meta.clone(), self.truth.clone());
        Self { panel, meta, categories: self.categories.clone(), model, truth }
    }

    /// Products of which all is known, spread over the panel.
    pub(super) fn products(&self, n: usize) -> anyhow::Result<Vec<&History>> {
        let cut = self.cut();
        let is_whole = |history: &&History| players_of(history, &SPLIT, cut).len() == N_PLAYERS;
        let whole: Vec<&History> = self.panel.histories.iter().filter(is_whole).collect();
        ensure!(!whole.is_empty(), "of no product all is known");
        let step = (whole.len() / n).max(1);
        Ok(whole.into_iter().step_by(step).take(n).collect())
    }

    pub(super) fn origin(&self) -> Period {
        self.panel.last()
    }

    pub(super) fn panel(&self) -> &Panel {
        &self.panel
    }

    fn cut(&self) -> Cut {
        Cut::new(self.panel.frequency, self.origin())
    }

    pub(super) fn background(
        &self,
        history: &History,
        n_background: usize,
    ) -> anyhow::Result<Background> {
        let config = Config { n_background, ..Config::default() };
        let explained = InProcess::new(&self.model, &self.meta, &self.categories);
        let (others, cut) = (&self.panel.histories, self.cut());
        let background = Background::of(&config, &explained, others, history, cut)?;
        background.context("no series stands in")
    }

    /// All coalitions of a product's families, and their names.
    pub(super) fn families(
        &self,
        history: &History,
        n_background: usize,
    ) -> anyhow::Result<(Table, Vec<String>)> {
        let players = players_of(history, &[], self.cut());
        let names = players.iter().map(explainer::players::Player::name).collect();
        Ok((self.table(history, &[], n_background)?, names))
    }

    /// All coalitions of a product's players.
    fn table(
        &self,
        history: &History,
        split: &[Family],
        n_background: usize,
    ) -> anyhow::Result<Table> {
        let background = self.background(history, n_background)?;
        let explained = InProcess::new(&self.model, &self.meta, &self.categories);
        let players = players_of(history, split, self.cut());
        let game = Game::new(&explained, history, &background, (players, self.cut()));
        let n_players = game.players().len();
        Ok(Table { n_players, rows: game.outputs(&all_coalitions(n_players))? })
    }

    /// All coalitions of some products' players.
    pub(super) fn tables(
        &self,
        products: &[&History],
        n_background: usize,
    ) -> anyhow::Result<Vec<Table>> {
        products.iter().map(|history| self.table(history, &SPLIT, n_background)).collect()
    }

    /// Explains each product as the stage and the service do, the background chosen before.
    #[allow(clippy::disallowed_methods, reason = "a bench measures time")]
    pub(super) fn pace(
        &self,
        products: &[&History],
        tables: &[Table],
        (method, n_background): (Method, usize),
    ) -> anyhow::Result<Pace> {
        let config = Config {
            n_background,
            split: SPLIT.to_vec(),
            method: Some(method),
            ..Config::default()
        };
        let (mut seconds, mut errors, mut evaluations) = (Vec::new(), Vec::new(), Vec::new());
        for (history, table) in products.iter().zip(tables) {
            let background = self.background(history, n_background)?;
            let begin = Instant::now();
            let explained = InProcess::new(&self.model, &self.meta, &self.categories);
            let question = Question {
                config: &config,
                explained: &explained,
                history,
                background,
                cut: self.cut(),
            };
            let found = question.answer()?;
            seconds.push(begin.elapsed().as_secs_f64());
            evaluations.push(found.n_evaluations as f64);
            errors.extend(relative_errors(&found.attributions, &table.exact()));
        }
        Ok(Pace {
            method,
            n_background,
            seconds: median(seconds),
            n: errors.len(),
            error: median(errors),
            n_evaluations: median(evaluations),
        })
    }

    /// The first network's shape, for who builds the same in Python.
    pub(super) fn shape(&self) -> Value {
        let description = self.model.description();
        shape(&description.architecture(description.members[0]))
    }
}

impl Pace {
    /// The seconds as a line.
    pub(super) fn line(self) -> Line {
        let Self { method, n_background, seconds, error, n_evaluations, n } = self;
        let limit = SECONDS_MAX[usize::from(n_background > 1)];
        let case = format!(
            "own model, {N_PLAYERS} players, {n_background} background rows: {n_evaluations} evaluations, \
            error {error:.3}"
        );
        let is_bound = method == Method::Gaussian;
        Line {
            ours: Some(seconds),
            better: if is_bound { format!("at most {limit}") } else { "lower".to_owned() },
            holds: is_bound.then_some(seconds <= limit),
            n,
            ..Line::new(case, "seconds", method)
        }
    }
}

/// What `explain_network.py` prints.
#[derive(Debug, Clone, Deserialize)]
struct Timed {
    n_background: usize,
    n_evaluations: usize,
    seconds: f64,
    version: String,
    n: usize,
}

/// Seconds beside `shap.KernelExplainer` on a network of the same shape in `PyTorch`, from the
/// lines of ours.
pub(super) fn beside_network(
    own: &Own,
    environment: &Environment,
    ours: &[Line],
) -> anyhow::Result<Vec<Line>> {
    let mut command = script(environment, "explain_network.py");
    command.arg(own.shape().to_string()).args(["--players", &N_PLAYERS.to_string()]);
    command.args(BACKGROUNDS.map(|n| n.to_string()));
    let timed: Vec<Timed> = answered(command)?;
    let mut lines = Vec::new();
    for Timed { n_background, n_evaluations, seconds, version, n } in timed {
        let rows = format!(" {n_background} background rows");
        let is_of = |line: &&Line| line.metric == "seconds" && line.case.contains(&rows);
        for line in ours.iter().filter(is_of) {
            lines.push(Line {
                peer: Some(seconds),
                peer_name: Some(format!(
                    "shap KernelExplainer {version}, {n_evaluations} evaluations"
                )),
                better: format!(
                    "lower; ours is {:.1} times as fast",
                    seconds / line.ours.unwrap_or(f64::NAN)
                ),
                holds: line.ours.map(|ours| seconds >= FASTER_LEAST * ours),
                n,
                ..line.clone()
            });
        }
    }
    Ok(lines)
}

/// `|found - exact| / |exact|` of each output that varies.
pub(super) fn relative_errors<'a>(
    found: &'a [Attribution],
    exact: &'a [Attribution],
) -> impl Iterator<Item = f64> + 'a {
    let varies = |(_, exact): &(&Attribution, &Attribution)| length(&exact.values) > 0.0;
    let pairs = found.iter().zip(exact).filter(varies);
    pairs.map(|(found, exact)| distance(&found.values, &exact.values) / length(&exact.values))
}

/// Writes games where `explain.py` finds them.
pub(super) fn write(folder: &Path, name: &str, tables: &[Table]) -> anyhow::Result<PathBuf> {
    std::fs::create_dir_all(folder)?;
    let path = folder.join(format!("{name}.npy"));
    games::write(&path, tables)?;
    Ok(path)
}
