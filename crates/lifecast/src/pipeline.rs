//! What one run computes: a TOML file with a section a stage, each with the stage's own settings.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::toml_file;

/// A pipeline. Every section may be left out; its stage then runs with its defaults.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Pipeline {
    /// The marketplace to simulate first, if any.
    pub(crate) simulate: Option<simulator::Config>,
    /// Mapping of the raw files and how they are cleaned.
    pub(crate) ingest: Ingest,
    /// Panels, labels, split.
    pub(crate) features: features::Config,
    /// The models to train; ours is the one named `lifecast`.
    pub(crate) model: Vec<ModelEntry>,
    /// Forecasts.
    pub(crate) predict: predictor::Config,
    /// Rules and scores.
    pub(crate) evaluate: evaluator::Config,
    /// Explanations.
    pub(crate) explain: explainer::Config,
    /// Plans.
    pub(crate) plan: planner::Config,
    /// Report.
    pub(crate) report: report::Config,
}

/// Settings of `ingest` and where its mapping is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Ingest {
    /// Path of the mapping, relative to the pipeline file.
    pub(crate) mapping: Option<PathBuf>,
    /// The stage's own settings.
    #[serde(flatten)]
    pub(crate) config: ingest::Config,
}

/// One model to train.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ModelEntry {
    /// Name in every table; ours is `lifecast`.
    pub(crate) name: String,
    /// The trainer's settings.
    #[serde(flatten)]
    pub(crate) config: trainer::Config,
}

/// The name of the model that is explained, planned with and reported.
pub(crate) const OURS: &str = "lifecast";

impl Default for Pipeline {
    /// Our model and the dense baseline of the source article, both with their defaults.
    fn default() -> Self {
        let entry = |name: &str, config| ModelEntry { name: name.to_owned(), config };
        Self {
            simulate: None,
            ingest: Ingest::default(),
            features: features::Config::default(),
            model: vec![
                entry(OURS, trainer::Config::default()),
                entry(
                    "dense",
                    trainer::Config {
                        members: vec![model::Kind::Dense],
                        ..trainer::Config::default()
                    },
                ),
            ],
            predict: predictor::Config::default(),
            evaluate: evaluator::Config::default(),
            explain: explainer::Config::default(),
            plan: planner::Config::default(),
            report: report::Config::default(),
        }
    }
}

impl Pipeline {
    /// Reads a pipeline; errors name the file and the key.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let mut pipeline: Self = toml_file::read(path, "pipeline")?;
        let folder = path.parent().unwrap_or(Path::new(""));
        pipeline.ingest.mapping = pipeline.ingest.mapping.map(|mapping| folder.join(mapping));
        pipeline.check().with_context(|| format!("{}: is not a valid pipeline", path.display()))?;
        Ok(pipeline)
    }

    fn check(&self) -> anyhow::Result<()> {
        let mut names: Vec<&str> = self.model.iter().map(|entry| entry.name.as_str()).collect();
        names.sort_unstable();
        if let Some([name, _]) = names.array_windows().find(|[first, next]| first == next) {
            bail!("[[model]] name = \"{name}\" stands twice; names must differ");
        }
        for name in &names {
            ensure!(!name.is_empty(), "[[model]] name must not be empty");
            let config = predictor::Config { name: (*name).to_owned(), ..self.predict.clone() };
            config.validate().with_context(|| format!("[[model]] name = \"{name}\""))?;
        }
        self.check_sections()?;
        if !names.contains(&OURS) {
            bail!("no [[model]] is named \"{OURS}\": it is the one that is explained and reported");
        }
        Ok(())
    }

    /// What a stage would refuse after others have worked for minutes is refused before any works.
    fn check_sections(&self) -> anyhow::Result<()> {
        let simulate = self.simulate.as_ref().map_or(Ok(()), simulator::Config::validate);
        let sections = [
            ("simulate", simulate),
            ("ingest", self.ingest.config.validate()),
            ("features", self.features.validate()),
            ("evaluate", self.evaluate.validate()),
            ("explain", self.explain.validate()),
            ("plan", self.plan.validate()),
        ];
        for (section, result) in sections {
            result.with_context(|| format!("[{section}]"))?;
        }
        for ModelEntry { name, config } in &self.model {
            config.validate().with_context(|| format!("[[model]] name = \"{name}\""))?;
        }
        Ok(())
    }
}
