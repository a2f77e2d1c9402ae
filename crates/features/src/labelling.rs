//! Labels for training and for the test, and how far they can be relied on.

use std::collections::BTreeSet;
use std::path::Path;

use lifecycle::trapezoid::LAMBDA;
use lifecycle::{Period, ProductId, Progress};
use panel::Panel;
use tables::features::{LABELS_TEST_FILE, LABELS_TRAIN_FILE, RELIABILITY_FILE};
use tables::{Label, LabelReliability, LambdaFit, ThinnedBy};

use crate::known::panel_at;
use crate::labels::{Evidence, Purpose, Smoother, fit_lambda, reliability};
use crate::output::write_json;
use crate::{Config, Error, report};

/// What is labelled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Labelling<'a> {
    pub(crate) config: &'a Config,
    pub(crate) thinned_by: Option<ThinnedBy>,
    /// Whose sales are labelled.
    pub(crate) panel: &'a Panel,
    /// Sales of each half of the buyers.
    pub(crate) halves: Option<&'a [Panel; 2]>,
    pub(crate) unseen: &'a BTreeSet<ProductId>,
    /// Last period of the training part.
    pub(crate) cut: Period,
}

/// What came of it.
#[derive(Debug, Clone)]
pub(crate) struct Labelled {
    pub(crate) n_train: usize,
    pub(crate) n_test: usize,
    pub(crate) reliability: Option<LabelReliability>,
}

impl Labelling<'_> {
    /// Writes the labels' files.
    pub(crate) fn run(&self, output: &Path, progress: &dyn Progress) -> Result<Labelled, Error> {
        report(progress, "labels", 1, 3)?;
        // What is known to the end trains nothing and is scored by nothing.
        if self.config.whole {
            let none: [Label; 0] = [];
            tables::write(&output.join(LABELS_TRAIN_FILE), &none)?;
            tables::write(&output.join(LABELS_TEST_FILE), &none)?;
            return Ok(Labelled { n_train: 0, n_test: 0, reliability: None });
        }
        let known = panel_at(self.panel, self.cut);
        let evidence = Evidence::new(&known, self.unseen, Purpose::Training);
        let lambda_fit = self.halves.filter(|_| self.config.label_lambda.is_none());
        let lambda_fit = lambda_fit.and_then(|halves| {
            fit_lambda(&evidence, &halves.each_ref().map(|half| panel_at(half, self.cut)))
        });
        let fitted = lambda_fit.as_ref().and_then(LambdaFit::chosen);
        let lambda = self.config.label_lambda.or(fitted).unwrap_or(LAMBDA);
        let train = Smoother::new(&evidence, lambda).labels();
        tables::write(&output.join(LABELS_TRAIN_FILE), &train)?;
        drop(evidence);
        report(progress, "labels", 2, 3)?;
        let evidence = Evidence::new(self.panel, self.unseen, Purpose::Test);
        let smoother = Smoother::new(&evidence, lambda);
        let test = smoother.labels();
        tables::write(&output.join(LABELS_TEST_FILE), &test)?;
        let reliability = (!evidence.are_given()).then(|| LabelReliability {
            lambda_fit,
            thinned_by: self.thinned_by,
            ..reliability(&smoother, &test, self.halves)
        });
        if let Some(reliability) = &reliability {
            write_json(output, RELIABILITY_FILE, reliability)?;
        }
        report(progress, "labels", 3, 3)?;
        Ok(Labelled { n_train: train.len(), n_test: test.len(), reliability })
    }
}
