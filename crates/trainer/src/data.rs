//! The data sets of a training, and the rows that are cut from them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use lifecycle::{Frequency, ProductId, Progress};
use model::Model;
use panel::{CategoryUnits, Fitted, Panel, Settings, category_units};
use tables::{FeaturesDir, Label};

use crate::config::{Builtin, Config};
use crate::rows::{Row, Rows, Source};
use crate::wrong::Wrong;

/// Data that rows are cut from, in memory.
struct Loaded {
    features: FeaturesDir,
    panel: Panel,
    categories: BTreeMap<String, CategoryUnits>,
    labels: BTreeMap<ProductId, Label>,
    /// With the standards that all data of this training share.
    fitted: Fitted,
}

impl Loaded {
    fn open(folder: &Path) -> Result<Self, tables::Error> {
        let features = FeaturesDir::open(folder)?;
        let panel = features.panel()?;
        let labels = features.labels_train()?;
        Ok(Self {
            categories: category_units(&panel),
            labels: labels.into_iter().map(|label| (label.product.clone(), label)).collect(),
            fitted: features.fitted().clone(),
            panel,
            features,
        })
    }

    fn source(&self) -> Source<'_> {
        Source {
            meta: self.features.meta(),
            histories: &self.panel.histories,
            categories: &self.categories,
            fitted: &self.fitted,
            split: self.features.split(),
            unseen: self.features.unseen(),
            labels: &self.labels,
        }
    }
}

/// What is trained on: rows of all data, and where those of each begin.
pub(crate) struct Data {
    pub(crate) rows: Rows,
    /// Frequency and first row of each part, in order.
    pub(crate) parts: Vec<(Frequency, usize)>,
    /// Of the first data, with the shared standards.
    pub(crate) fitted: Fitted,
    /// Windows that hold those of all data.
    pub(crate) settings: Settings,
    /// The built-in model, where it answers beside the network: it takes the same windows.
    pub(crate) builtin: Option<Arc<Model>>,
}

impl Data {
    /// Cuts the rows of all data: with the standards of a base model, of the built-in one where it
    /// answers beside the network, or pooled ones; with wrong targets where a guard asks for them.
    pub(crate) fn cut(
        config: &Config,
        features: &[&Path],
        base: Option<&Model>,
        progress: &dyn Progress,
        wrong: Option<Wrong>,
    ) -> Result<Self, tables::Error> {
        let opened = features.iter().map(|folder| Loaded::open(folder));
        let mut all = opened.collect::<Result<Vec<_>, _>>()?;
        let builtin = builtin_beside(config, &all[0], base);
        let taken = base.or(builtin.as_deref()).map(Model::fitted);
        let pooled = match taken {
            Some(fitted) => fitted.clone(),
            None => all[0].fitted.with_pooled_standards(all.iter().map(|loaded| &loaded.fitted)),
        };
        let mut settings = Settings { context: 1, horizon: 1 };
        let (mut rows, mut parts) = (Vec::new(), Vec::new());
        for loaded in &mut all {
            if taken.is_some() || features.len() > 1 {
                loaded.fitted = loaded.fitted.with_standards_of(&pooled);
            }
            let of_panel = loaded.features.meta().settings;
            settings.context = settings.context.max(of_panel.context);
            settings.horizon = settings.horizon.max(of_panel.horizon);
            parts.push((loaded.features.meta().frequency, rows.len()));
            let mut of_panel = Rows::cut(loaded.source(), config, progress);
            if let Some(wrong) = wrong {
                wrong.spoil(&mut of_panel, loaded.source(), config);
            }
            rows.extend(of_panel.rows);
        }
        let fitted = all.swap_remove(0).fitted;
        Ok(Self { rows: Rows { rows }, parts, fitted, settings, builtin })
    }

    /// The built-in model where its network, trained on, is a member beside others.
    pub(crate) fn builtin_member(&self, config: &Config) -> Option<&Model> {
        self.builtin.as_deref().filter(|_| config.adds_builtin())
    }

    /// Validation rows of one frequency.
    pub(crate) fn validation(&self, frequency: Frequency) -> Vec<&Row> {
        let ends = self.parts.iter().skip(1).map(|(_, begin)| *begin).chain([self.rows.rows.len()]);
        let parts = self.parts.iter().zip(ends).filter(|((of, _), _)| *of == frequency);
        let rows = parts.flat_map(|((_, begin), end)| &self.rows.rows[*begin..end]);
        rows.filter(|row| row.validation.is_some()).collect()
    }
}

/// The built-in model where it can answer beside a network on this data: the data asks for no more
/// than it can take, and a base model's inputs are standardised as its own.
fn builtin_beside(config: &Config, data: &Loaded, base: Option<&Model>) -> Option<Arc<Model>> {
    if config.builtin == Builtin::None || config.foundation || !config.has_heads() {
        return None;
    }
    let builtin = Model::builtin().inspect_err(|error| tracing::error!(%error, "built-in")).ok()?;
    let (standards, meta) = (&builtin.fitted().standards, data.features.meta());
    let is_alike = base.is_none_or(|base| base.fitted().standards == *standards);
    let takes = builtin.takes(meta.settings, meta.frequency);
    if !takes {
        let Settings { context, horizon } = builtin.description().settings;
        tracing::warn!(
            context,
            horizon,
            asked = ?meta.settings,
            "trained without the built-in model: it takes no such windows"
        );
    }
    (is_alike && takes).then(|| Arc::new(builtin))
}
