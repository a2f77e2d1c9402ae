//! The data sets of the bench, each a mapping and a pipeline that stand in the repository.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use toml::Table;

use super::budget::Effort;
use crate::workspace_root;

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Subject {
    /// Probabilities of halving, doubling and falling silent.
    Turns,
    /// Units sold.
    Accuracy,
    /// Stages of life.
    Stages,
    /// Ours beside itself with one part removed, changed or added.
    Ablation,
}

impl Subject {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Turns => "turns",
            Self::Accuracy => "accuracy",
            Self::Stages => "stages",
            Self::Ablation => "ablation",
        }
    }
}

/// A data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Set {
    /// Name in every case.
    pub name: &'static str,
    mapping: &'static str,
    pipeline: &'static str,
    /// Whether it has whole lives, or lives of which the stage now can be told.
    has_stages: bool,
}

const SETS: [Set; 5] = [
    Set {
        name: "simulator-1",
        mapping: "simulator-1.toml",
        pipeline: "simulator-1.toml",
        has_stages: true,
    },
    Set {
        name: "simulator-2",
        mapping: "simulator-2.toml",
        pipeline: "simulator-2.toml",
        has_stages: true,
    },
    Set {
        name: "online-retail-ii",
        mapping: "online-retail-ii.toml",
        pipeline: "data.toml",
        has_stages: true,
    },
    Set {
        name: "complete-journey",
        mapping: "complete-journey.toml",
        pipeline: "complete-journey.toml",
        has_stages: false,
    },
    Set { name: "car-parts", mapping: "car-parts.toml", pipeline: "data.toml", has_stages: false },
];

/// A cut-down marketplace and short training: the whole path in 3 minutes, no figure to quote.
const QUICK: &str = "
[simulate]
products = 240
weeks = 130

[model]
size = \"tiny\"
steps_max = 60
validate_every = 30
rows_max = 6000
validation_rows_max = 1500

[evaluate]
resamples = 200
subset_resamples = 50
fit_products = 200
";

/// Baselines of ours that stand beside those of every pipeline.
const BASELINES: &str = "
[[model]]
name = \"lstm\"
trees = false
builtin = \"none\"

[[model]]
name = \"built-in\"
from = \"builtin\"
steps_max = 0
";

/// Ours with one part removed, changed or added, in the place of baselines.
const VARIANTS: &str = "
[[model]]
name = \"no-trees\"
trees = false

[[model]]
name = \"no-built-in\"
builtin = \"none\"

[[model]]
name = \"built-in-beside-alone\"
builtin = \"beside\"

[[model]]
name = \"transformer\"
members = [\"transformer\"]
builtin = \"beside\"

[[model]]
name = \"tiny\"
size = \"tiny\"
builtin = \"beside\"

[[model]]
name = \"no-dropout\"
dropout = 0.0

[[model]]
name = \"no-averaged-weights\"
average = 0.0

[[model]]
name = \"no-stages-learnt\"
builtin = \"beside\"
losses = { stages = 0.0 }

[[model]]
name = \"masked-patches-too\"
losses = { reconstruction = 0.1 }

[[model]]
name = \"from-built-in\"
from = \"builtin\"

[[model]]
name = \"both-kinds\"
members = [\"lstm\", \"transformer\"]
builtin = \"beside\"
";

/// Names of the variants of an ablation.
pub fn variants() -> Vec<String> {
    let variants = Pipeline::parse(VARIANTS).map(|pipeline| pipeline.models);
    variants.unwrap_or_default().into_iter().map(|model| model.name).collect()
}

/// The sets of a bench, those that decide first: all that it scores, or those that are named.
pub fn sets(subject: Subject, effort: Effort, only: &[String]) -> anyhow::Result<Vec<Set>> {
    let n_most = if effort == Effort::Quick { 1 } else { SETS.len() };
    let needs_stages = matches!(subject, Subject::Stages | Subject::Ablation);
    let is_scored = |set: &Set| !needs_stages || set.has_stages;
    let sets: Vec<Set> = SETS.into_iter().filter(is_scored).take(n_most).collect();
    let names = sets.iter().map(|set| set.name).collect::<Vec<_>>().join(", ");
    for name in only {
        let is_known = sets.iter().any(|set| set.name == name);
        ensure!(is_known, "--set {name}: `{}` has {names}", subject.name());
    }
    let is_named = |set: &Set| only.is_empty() || only.iter().any(|name| name == set.name);
    Ok(sets.into_iter().filter(is_named).collect())
}

/// A model of ours: the first is the one named `lifecast`, the others are baselines.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Name in every table.
    pub name: String,
    /// What `train` is configured with.
    pub settings: Table,
}

impl Set {
    /// Path of the mapping.
    pub fn mapping(&self) -> PathBuf {
        workspace_root().join("tests/datasets").join(self.mapping)
    }

    /// The settings of every stage, with the models that stand beside ours.
    pub fn pipeline(&self, subject: Subject, effort: Effort) -> anyhow::Result<Pipeline> {
        let path = workspace_root().join("tests/pipelines").join(self.pipeline);
        let text = std::fs::read_to_string(&path).with_context(|| format!("{}", path.display()))?;
        let mut pipeline = Pipeline::parse(&text).with_context(|| format!("{}", path.display()))?;
        if subject == Subject::Ablation {
            pipeline.models.retain(|model| model.name == evaluator::OURS);
        }
        let beside = if subject == Subject::Ablation { VARIANTS } else { BASELINES };
        for baseline in Pipeline::parse(beside)?.models {
            if pipeline.models.iter().all(|model| model.name != baseline.name) {
                pipeline.models.push(baseline);
            }
        }
        if effort == Effort::Quick {
            pipeline.cut_down(&toml::from_str(QUICK)?);
        }
        Ok(pipeline)
    }
}

/// What stands in a pipeline, by section.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    sections: Table,
    /// Its models, ours first.
    pub models: Vec<Model>,
}

impl Pipeline {
    fn parse(text: &str) -> anyhow::Result<Self> {
        let mut sections: Table = toml::from_str(text)?;
        let entries = sections.remove("model").context("the pipeline has no [[model]]")?;
        let mut models = Vec::new();
        for entry in entries.as_array().context("[[model]] is a list")? {
            let mut settings = entry.as_table().context("[[model]] is a table")?.clone();
            let name = settings.remove("name").context("[[model]] has no name")?;
            let name = name.as_str().context("[[model]] name is a text")?.to_owned();
            models.push(Model { name, settings });
        }
        models.sort_by_key(|model| model.name != evaluator::OURS);
        Ok(Self { sections, models })
    }

    /// The settings of a stage; empty where the pipeline leaves them to their defaults.
    pub fn section(&self, stage: &str) -> Table {
        self.sections.get(stage).and_then(toml::Value::as_table).cloned().unwrap_or_default()
    }

    /// Whether the set is simulated.
    pub fn is_simulated(&self) -> bool {
        self.sections.contains_key("simulate")
    }

    /// Settings over those that are there; those of `model` go into every model.
    fn cut_down(&mut self, quick: &Table) {
        for (stage, settings) in quick {
            let Some(settings) = settings.as_table() else { continue };
            let over = |own: &mut Table| own.extend(settings.clone());
            if stage == "model" {
                self.models.iter_mut().for_each(|model| over(&mut model.settings));
            } else {
                let own = self.sections.entry(stage).or_insert_with(|| Table::new().into());
                own.as_table_mut().into_iter().for_each(over);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_has_a_mapping_and_a_pipeline_with_ours_first() {
        for set in SETS {
            assert!(set.mapping().is_file(), "{}", set.name);
            let pipeline = set.pipeline(Subject::Turns, Effort::Plain).expect("reads");
            let names: Vec<&str> = pipeline.models.iter().map(|model| &*model.name).collect();
            assert_eq!(names, [evaluator::OURS, "dense", "lstm", "built-in"]);
            assert_eq!(pipeline.is_simulated(), set.name.starts_with("simulator"));
            let varied = set.pipeline(Subject::Ablation, Effort::Plain).expect("reads");
            assert_eq!(varied.models[0], pipeline.models[0]);
            for model in pipeline.models.iter().chain(&varied.models) {
                let text = toml::to_string(&model.settings).expect("TOML");
                let config: trainer::Config = toml::from_str(&text).expect("a configuration");
                config.validate().expect("valid");
            }
        }
    }

    #[test]
    fn quick_is_one_small_set() {
        for subject in [Subject::Turns, Subject::Accuracy, Subject::Stages] {
            let quick = sets(subject, Effort::Quick, &[]).expect("sets");
            let [set] = quick[..] else { panic!("one set") };
            let pipeline = set.pipeline(subject, Effort::Quick).expect("reads");
            assert_eq!(pipeline.section("simulate")["products"].as_integer(), Some(240));
            assert_eq!(pipeline.models[1].settings["steps_max"].as_integer(), Some(60));
            let evaluate = toml::to_string(&pipeline.section("evaluate")).expect("TOML");
            let config: evaluator::Config = toml::from_str(&evaluate).expect("a configuration");
            assert_eq!(config.resamples, 200);
        }
    }

    #[test]
    fn stages_are_told_where_lives_are_long_enough() {
        let names = |subject, only: &[String]| -> anyhow::Result<Vec<&str>> {
            Ok(sets(subject, Effort::Plain, only)?.iter().map(|set| set.name).collect())
        };
        let all = names(Subject::Stages, &[]).expect("sets");
        assert_eq!(all, ["simulator-1", "simulator-2", "online-retail-ii"]);
        assert_eq!(names(Subject::Turns, &[]).expect("sets").len(), 5);
        let only = ["car-parts".to_owned()];
        assert_eq!(names(Subject::Turns, &only).expect("sets"), ["car-parts"]);
        assert!(names(Subject::Stages, &only).is_err());
    }
}
