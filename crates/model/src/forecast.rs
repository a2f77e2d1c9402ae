//! The one way from a window to an answer: the predictor, the explainer, the trainer's validation
//! and the servers all come here.

use lifecycle::{Forecast, N_LEVELS, Outlook, StageProbabilities, UnitsForecast};
use panel::{Fitted, Window};

use crate::architecture::Kind;
use crate::dependence::Dependence;
use crate::files::Description;
use crate::heads::{
    MEDIAN, N_TURN_CLASSES, N_UNIT_OUTPUTS, Row, mean, quantiles, softmax, stage_logits,
    turn_probabilities,
};
use crate::network::Network;
use crate::workers::Workers;

/// A trained model, ready to answer.
#[derive(Debug)]
pub struct Model {
    description: Description,
    network: Network,
    weights: Vec<f32>,
    fitted: Fitted,
    dependence: Dependence,
    workers: Workers,
}

impl Model {
    /// A model of its parts; the description's correlations and calibration are used as they are.
    pub fn new(
        description: Description,
        network: &Network,
        weights: Vec<f32>,
        fitted: Fitted,
    ) -> Self {
        let horizon = description.dimensions.horizon;
        let dependence = if description.correlations.len() == horizon * horizon {
            Dependence::new(horizon, description.correlations.clone())
        } else {
            Dependence::independent(horizon)
        };
        let network = network.with_weights(&weights);
        let workers = network.workers();
        Self { description, network, weights, fitted, dependence, workers }
    }

    /// What `model.json` says.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// The state that a [`panel::Cutter`] for this model's windows needs.
    pub fn fitted(&self) -> &Fitted {
        &self.fitted
    }

    /// All weights, in the order of the network's layout.
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// The network with its weights.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The answer for one window from the raw outputs for it.
    fn answer(&self, window: &Window, row: Row<'_>) -> Forecast {
        let (training, calibration) = (&self.description.training, &self.description.calibration);
        let is_whole = self.description.is_whole;
        let mut quantiles = self.quantiles(window, row.units);
        let cumulative_quantiles = self.dependence.cumulative_quantiles(&quantiles, is_whole);
        if is_whole {
            // A quantile of counts is a count. Left between two, it is wrong by its own definition:
            // a series that sells nothing in 6 of 10 weeks has the quantile 0 at .5, not .1.
            for units in &mut quantiles {
                *units = units.round();
            }
        }
        let steps = row.units.chunks_exact(N_UNIT_OUTPUTS);
        let means = steps.map(|step| mean(step) * window.scale).collect();
        let stages = |index: Option<usize>| {
            let logits = stage_logits(row.stages, index);
            let mut weights = [0.0; 5];
            match index {
                None => {
                    let now = softmax::<4>(logits, calibration.stage_now);
                    weights[..4].copy_from_slice(&now.map(f64::from));
                }
                Some(index) => {
                    weights = softmax::<5>(logits, calibration.stages[index]).map(f64::from);
                }
            }
            (training.n_stage_rows > 0).then(|| StageProbabilities::from_weights(weights))
        };
        let outlooks = std::array::from_fn(|index| {
            let logits = &row.turns[index * N_TURN_CLASSES..(index + 1) * N_TURN_CLASSES];
            let classes = softmax(logits, calibration.turns[index]);
            Outlook {
                turns: (training.n_turn_rows > 0).then(|| turn_probabilities(classes)),
                stage: stages(Some(index)),
            }
        });
        Forecast {
            series: window.series.clone(),
            origin: window.origin,
            units: Some(UnitsForecast { means, quantiles, cumulative_quantiles }),
            stage_now: stages(None),
            outlooks,
            cold_start: window.cold_start,
            far_from_training: window.far_from_training,
        }
    }

    /// Quantiles of units by step, wider at cold start, not yet whole. Shape `[horizon, N_LEVELS]`.
    fn quantiles(&self, window: &Window, units: &[f32]) -> Vec<f32> {
        let width =
            if window.cold_start { self.description.calibration.cold_start_width } else { 1.0 };
        let mut all = Vec::with_capacity(units.len() / N_UNIT_OUTPUTS * N_LEVELS);
        for step in units.chunks_exact(N_UNIT_OUTPUTS) {
            let scaled = quantiles(step);
            let median = scaled[MEDIAN];
            all.extend(scaled.map(|q| (median + width * (q - median)).max(0.0) * window.scale));
        }
        all
    }

    /// The dense network's answer: means alone.
    fn means(&self, window: &Window, standardised: &[f32]) -> Forecast {
        let scaling = self.description.dense;
        let units = |value: &f32| scaling.map_or(0.0, |scaling| scaling.units(*value));
        let means = standardised.iter().map(units).collect();
        Forecast {
            series: window.series.clone(),
            origin: window.origin,
            units: Some(UnitsForecast { means, ..UnitsForecast::default() }),
            stage_now: None,
            outlooks: [Outlook::default(); 3],
            cold_start: window.cold_start,
            far_from_training: window.far_from_training,
        }
    }
}

/// Forecasts for windows, in their order. What else is in the call changes no answer beyond
/// rounding of the last digit.
pub fn forecast(model: &Model, windows: &[Window]) -> Vec<Forecast> {
    let chunks: Vec<&[Window]> = windows.chunks(model.network.answer_batch()).collect();
    let answers = model.workers.map(&chunks, |_, chunk| {
        let outputs = model.network.outputs(&chunk.iter().collect::<Vec<_>>());
        match model.description.kind {
            Kind::Transformer => {
                let rows = chunk.iter().zip(outputs.rows());
                rows.map(|(window, row)| model.answer(window, row)).collect::<Vec<_>>()
            }
            Kind::Dense => {
                let rows = chunk.iter().zip(outputs.units.chunks_exact(outputs.horizon));
                rows.map(|(window, units)| model.means(window, units)).collect()
            }
        }
    });
    answers.into_iter().flatten().collect()
}

/// Sample paths of units, shape `[horizon, N_PATHS]`; empty from a model of means only. Their
/// quantiles are those of [`forecast`].
pub fn paths(model: &Model, window: &Window) -> Vec<f32> {
    let of_window = |window: &Window| {
        let outputs = model.network.outputs(&[window]);
        let mut rows = outputs.rows();
        rows.next().map_or_else(Vec::new, |row| {
            let quantiles = model.quantiles(window, row.units);
            model.dependence.paths(&quantiles, model.description.is_whole)
        })
    };
    model.workers.map(&[window], |_, window| of_window(window)).into_iter().flatten().collect()
}
