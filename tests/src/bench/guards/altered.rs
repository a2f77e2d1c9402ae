//! Panels whose past is blurred, whose future is scrambled or whose products are not launched yet, and
//! what a model says of them.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use evaluator::share_interval;
use lifecycle::{Forecast, LEVELS, Period, SHARE_WEEKS};
use model::{Model, Noise};
use panel::{Channel, Cutter, Panel, category_units};
use predictor::{LoadedPanel, Predictor};
use rayon::prelude::*;
use tables::FeaturesDir;

/// Spread of the noise that units are multiplied by.
pub(super) const NOISE: f32 = 0.05;

/// An answer is confident where it gives its likeliest outcome so much.
pub(super) const CONFIDENT: f32 = 0.7;

/// Resamples of products behind an interval.
const N_RESAMPLES: usize = 1000;

/// What is asked of an answer: turns after 4, 13 and 26 weeks, stages now and then.
pub(super) const QUESTIONS: [&str; 7] = [
    "4 weeks turns",
    "13 weeks turns",
    "26 weeks turns",
    "stage now",
    "4 weeks stage",
    "13 weeks stage",
    "26 weeks stage",
];

/// A model, and the panel that it is asked about.
#[derive(Debug)]
pub(super) struct Asked {
    features: FeaturesDir,
    model: Arc<Model>,
    panel: Panel,
}

/// Confident answers to one of [`QUESTIONS`], and the share of them that noise turned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Flips {
    /// Confident answers.
    pub(super) n: u64,
    /// Share that is another with noise, and its 95 % interval.
    pub(super) share: [f64; 3],
}

/// Forecasts of products before their first period, under a category that nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Unlaunched {
    /// Products launched after the cut that are asked about.
    pub(super) n: u64,
    /// Answers that are well formed.
    pub(super) n_valid: u64,
    /// Answers that say that they are cold starts.
    pub(super) n_flagged: u64,
    /// Products with a forecast after 13 weeks of history too.
    pub(super) n_older: u64,
    /// Those of whose units over the horizon less is known before the launch than after these 13
    /// weeks: the ratio of the ends of the 80 % interval is wider.
    pub(super) n_wider: u64,
}

impl Asked {
    /// Opens a features artifact and a model.
    pub(super) fn open(features: &Path, model: &Path) -> anyhow::Result<Self> {
        let features = FeaturesDir::open(features)?;
        let panel = features.panel()?;
        Ok(Self { model: Arc::new(Model::load(model)?), panel, features })
    }

    fn test_origins(&self) -> Vec<Period> {
        self.features.split().test_origins(0)
    }

    /// Forecasts of all series that have begun at some origins, series by series, from a panel with
    /// the state that was fitted on the right one.
    fn forecasts(&self, panel: Panel, origins: &[Period]) -> anyhow::Result<Vec<Vec<Forecast>>> {
        let settings = self.features.meta().settings;
        let loaded = LoadedPanel::new(panel, settings, self.features.fitted().clone());
        let predictor = Predictor::new(&self.model, Arc::new(loaded))?;
        let mut all = Vec::new();
        for histories in predictor.histories().chunks(256) {
            let windows: Vec<Vec<_>> = histories
                .par_iter()
                .map(|history| {
                    let begun = origins.iter().copied().filter(|o| history.start <= *o);
                    predictor.windows(history, &begun.collect::<Vec<_>>())
                })
                .collect();
            let windows = windows.concat();
            let said = model::forecast(predictor.model(), &windows);
            let mut said = said.into_iter().peekable();
            for history in histories {
                let mut of_series = Vec::new();
                while let Some(next) = said.next_if(|next| next.series == history.series) {
                    of_series.push(next);
                }
                all.push(of_series);
            }
        }
        Ok(all)
    }

    /// How many forecasts from the first and the middle test origin there are, and how many of them
    /// change where all that lies after the origin is scrambled.
    pub(super) fn changed_by_the_future(&self) -> anyhow::Result<[u64; 2]> {
        let origins = self.test_origins();
        let mut counts = [0; 2];
        for at in [0, origins.len() / 2] {
            let origin = [*origins.get(at).context("no test origin")?];
            let right = self.forecasts(self.panel.clone(), &origin)?;
            let scrambled = self.forecasts(scrambled(&self.panel, origin[0]), &origin)?;
            for (right, scrambled) in right.iter().flatten().zip(scrambled.iter().flatten()) {
                counts[0] += 1;
                counts[1] += u64::from(right != scrambled);
            }
        }
        Ok(counts)
    }

    /// What is said of products launched after the cut, from the period before their first and under
    /// a category that is in no training row.
    pub(super) fn before_launch(&self) -> anyhow::Result<Unlaunched> {
        let meta = self.features.meta();
        let quarter = meta.frequency.periods_of_weeks(SHARE_WEEKS) as i32;
        let cut = self.features.split().last_training_period();
        let mut panel = self.panel.clone();
        panel.histories.retain(|history| history.start > cut);
        for history in &mut panel.histories {
            history.statics.category = vec!["a category that nobody knows".to_owned()];
        }
        let launched = panel.histories.clone();
        let loaded = LoadedPanel::new(panel, meta.settings, self.features.fitted().clone());
        let predictor = Predictor::new(&self.model, Arc::new(loaded))?;
        let mut found = Unlaunched::default();
        for history in &launched {
            let before = predictor.forecast_history(history, history.start.plus(-1))?;
            found.n += 1;
            let units = before.units.as_ref().context("no units")?;
            found.n_valid += u64::from(units.validate().is_ok());
            found.n_flagged += u64::from(before.cold_start);
            let later = history.start.plus(quarter - 1);
            if later <= meta.last() {
                let after = predictor.forecast_history(history, later)?;
                if let (Some(before), Some(after)) = (log_width(&before), log_width(&after)) {
                    found.n_older += 1;
                    found.n_wider += u64::from(before > after);
                }
            }
        }
        Ok(found)
    }

    /// By question, how many confident answers on the rows that turns are scored on flip where units
    /// are multiplied by noise; `None` where no answer is confident.
    pub(super) fn flips(&self, seed: u64) -> anyhow::Result<[Option<Flips>; QUESTIONS.len()]> {
        let origins = self.test_origins();
        let right = self.forecasts(self.panel.clone(), &origins)?;
        let noisy = self.forecasts(blurred(&self.panel, seed), &origins)?;
        let categories = category_units(&self.panel);
        let cutter = Cutter::new(self.features.meta(), &categories, self.features.fitted());
        let counted = self.panel.histories.par_iter().zip(right.par_iter().zip(&noisy));
        let by_series: Vec<[[f64; 2]; QUESTIONS.len()]> = counted
            .map(|(history, (right, noisy))| {
                let mut counts = [[0.0; 2]; QUESTIONS.len()];
                for (right, noisy) in right.iter().zip(noisy) {
                    let is_scored =
                        cutter.targets(history, right.origin).turns.map(|t| t.is_some());
                    count(right, noisy, is_scored, &mut counts);
                }
                counts
            })
            .collect();
        // One location a product in these sets: series are products.
        let of_question = |question: usize| {
            let counts: Vec<[f64; 2]> = by_series.iter().map(|counts| counts[question]).collect();
            let share = share_interval(&counts, N_RESAMPLES, seed)?;
            let n = counts.iter().map(|[_, n]| n).sum::<f64>();
            Some(Flips { n: n as u64, share })
        };
        Ok(std::array::from_fn(of_question))
    }
}

/// Width of the 80 % interval of the units of the whole horizon, in logarithms of 1 more.
///
/// Not of single periods over their mean: a product that has turned out slow sells 0 or 1 a week, and
/// by that measure nothing is less certain, however well its level is known.
fn log_width(forecast: &Forecast) -> Option<f32> {
    let units = forecast.units.as_ref()?;
    let at = |level: f64| LEVELS.iter().position(|other| *other == level);
    let whole = units.cumulative_quantiles.chunks_exact(LEVELS.len()).next_back()?;
    Some(whole[at(0.9)?].ln_1p() - whole[at(0.1)?].ln_1p())
}

/// Adds one pair of answers to `[flipped, confident]` of each question.
fn count(
    right: &Forecast,
    noisy: &Forecast,
    is_scored: [bool; 3],
    counts: &mut [[f64; 2]; QUESTIONS.len()],
) {
    let (right, noisy) = (answers(right), answers(noisy));
    let scored = [is_scored[0], is_scored[1], is_scored[2], is_scored[0]];
    let scored = scored.into_iter().chain(is_scored);
    for (((right, noisy), is_scored), counts) in right.iter().zip(&noisy).zip(scored).zip(counts) {
        let (Some((answer, p)), Some((other, _)), true) = (right, noisy, is_scored) else {
            continue;
        };
        if *p >= CONFIDENT {
            counts[0] += f64::from(u8::from(answer != other));
            counts[1] += 1.0;
        }
    }
}

/// The likeliest outcome of each question and its probability. Of a turn there are four, one of which
/// comes: silent, halved but not silent, neither, doubled.
fn answers(forecast: &Forecast) -> [Option<(usize, f32)>; QUESTIONS.len()] {
    let turns = |outlook: usize| {
        let [halved, doubled, silent] = forecast.outlooks[outlook].turns?;
        likeliest(&[silent, halved - silent, 1.0 - halved - doubled, doubled])
    };
    let stage = |outlook: usize| likeliest(forecast.outlooks[outlook].stage.as_ref()?.as_array());
    let now = forecast.stage_now.as_ref().and_then(|stage| likeliest(stage.as_array()));
    [turns(0), turns(1), turns(2), now, stage(0), stage(1), stage(2)]
}

fn likeliest(probabilities: &[f32]) -> Option<(usize, f32)> {
    let all = probabilities.iter().copied().enumerate();
    all.max_by(|one, other| one.1.total_cmp(&other.1))
}

/// The panel with every sale multiplied by its own normal noise around 1.
fn blurred(panel: &Panel, seed: u64) -> Panel {
    let mut panel = panel.clone();
    for (number, history) in panel.histories.iter_mut().enumerate() {
        let mut noise = Noise::new((seed << 32) + number as u64);
        let mut factor = || {
            // Box and Muller's; one of the pair is enough.
            let (one, other) = (1.0 - noise.uniform(), noise.uniform());
            let normal = (-2.0 * one.ln()).sqrt() * (std::f32::consts::TAU * other).cos();
            (1.0 + NOISE * normal).max(0.0)
        };
        let factors: Vec<f32> = (0..history.n_periods()).map(|_| factor()).collect();
        let units = &mut history.channels[Channel::Units as usize];
        units.iter_mut().zip(&factors).for_each(|(units, factor)| *units *= factor);
        for correction in &mut history.corrections {
            let at = usize::try_from(correction.period.since(history.start)).ok();
            let factor = at.and_then(|at| factors.get(at).copied());
            correction.change *= factor.unwrap_or(1.0);
        }
    }
    panel
}

/// The panel with other values in every channel after an origin, other corrections and no end then.
fn scrambled(panel: &Panel, origin: Period) -> Panel {
    let mut panel = panel.clone();
    for (number, history) in panel.histories.iter_mut().enumerate() {
        let n_known = usize::try_from(origin.since(history.start) + 1).unwrap_or(0);
        for channel in &mut history.channels {
            for (step, value) in channel.iter_mut().enumerate().skip(n_known) {
                *value = ((step * 31 + number * 7) % 50) as f32;
            }
        }
        let units = &mut history.channels[Channel::Units as usize];
        for correction in history.corrections.iter_mut().filter(|change| change.known > origin) {
            let at = usize::try_from(correction.period.since(history.start)).ok();
            match at.and_then(|at| units.get_mut(at)).filter(|_| correction.period <= origin) {
                // As known at the origin nothing changed; later it did, by another amount.
                Some(units) => {
                    *units += 17.0;
                    correction.change += 17.0;
                }
                None => correction.change = 3.0,
            }
        }
        history.statics.end = history.statics.end.filter(|end| *end <= origin);
    }
    panel
}

#[cfg(test)]
mod tests {
    use lifecycle::{Outlook, Series, StageProbabilities};

    use super::*;

    fn forecast(halved: f32, stage: [f64; 5]) -> Forecast {
        let turns = Some([halved, 0.1, 0.05]);
        let outlook = Outlook { turns, stage: Some(StageProbabilities::from_weights(stage)) };
        Forecast {
            series: Series::of("a"),
            origin: Period(1),
            units: None,
            stage_now: None,
            outlooks: [outlook; 3],
            cold_start: false,
            far_from_training: false,
        }
    }

    #[test]
    fn only_confident_answers_of_scored_rows_count() {
        let mut counts = [[0.0; 2]; QUESTIONS.len()];
        let sure = forecast(0.8, [0.1, 0.1, 0.7, 0.1, 0.0]);
        let other = forecast(0.4, [0.5, 0.1, 0.3, 0.1, 0.0]);
        count(&sure, &other, [true, true, false], &mut counts);
        let flipped = [1.0, 1.0];
        assert_eq!(counts, [flipped, flipped, [0.0; 2], [0.0; 2], flipped, flipped, [0.0; 2]]);
        count(&other, &sure, [true; 3], &mut counts);
        assert_eq!(counts[0], flipped);
        count(&sure, &sure, [true; 3], &mut counts);
        assert_eq!((counts[0], counts[2]), ([1.0, 2.0], [0.0, 1.0]));
    }

    #[test]
    fn outcomes_of_a_turn_exclude_each_other() {
        // Halved .8 holds silent .05: .75 are left.
        let (answer, p) = answers(&forecast(0.8, [1.0; 5]))[0].expect("said");
        assert!(answer == 1 && (p - 0.75).abs() < 1e-6);
    }
}
