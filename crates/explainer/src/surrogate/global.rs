//! Surrogates of all forecasts: a shallow tree and a linear model from what a planner knows of a
//! series to what the model answers for it.
//!
//! They are fitted to the series of some products and their fidelity is told on the others. The model
//! itself is not asked: its served answers are there.

use lifecycle::{Digest, Forecast, Frequency, Period, Series};
use panel::History;
use serde::{Deserialize, Serialize};

use super::inputs::{Input, inputs};
use super::linear::Linear;
use super::rules::{Rule, rules};
use super::tree::Tree;
use super::{Fidelity, Kind};
use crate::explained::outputs_of;

/// Most series; of more, a sample.
const SERIES_MAX: usize = 5_000;

/// Least series to fit to, and half as many to hold against.
const FITTED_MIN: usize = 40;

/// Of 256 products, so many are held out.
const HELD_OUT: u8 = 85;

/// Least series of a leaf.
const LEAF_MIN: usize = 10;

/// A leaf has at least this part of the series.
const LEAF_PART: usize = 20;

/// Surrogates of all forecasts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Global {
    /// Series that they were fitted to.
    pub n_fitted: usize,
    /// Series that fidelity is told on, of other products.
    pub n_held_out: usize,
    /// What they see: what is known of at least half of the series, and differs.
    pub inputs: Vec<Input>,
    /// One an output.
    pub outputs: Vec<GlobalOutput>,
}

/// Two surrogates of one output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GlobalOutput {
    /// Name of the output.
    pub output: String,
    /// The tree.
    pub tree: RuleSet,
    /// The linear model.
    pub linear: SlopeSet,
}

/// A tree as its rules.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RuleSet {
    /// What the numbers are.
    pub kind: Kind,
    /// How faithful it is.
    pub fidelity: Fidelity,
    /// One a leaf.
    pub rules: Vec<Rule>,
}

/// A linear model as its slopes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SlopeSet {
    /// What the numbers are.
    pub kind: Kind,
    /// How faithful it is.
    pub fidelity: Fidelity,
    /// What it says of a series with the mean of all inputs.
    pub intercept: f64,
    /// One an input, the steepest first.
    pub slopes: Vec<Slope>,
}

/// How one input moves one output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Slope {
    /// Which.
    pub input: Input,
    /// Its name.
    pub name: String,
    /// How much the output rises where the input is a standard deviation higher.
    pub per_deviation: f64,
    /// That standard deviation, of ratios of their natural logarithm.
    pub deviation: f64,
}

/// Series with complete inputs. Shape of `rows` `[n, n_inputs]`, of `targets` `[n, n_outputs]`.
struct Part {
    rows: Vec<Vec<f64>>,
    targets: Vec<Vec<f64>>,
}

/// Surrogates of the forecasts of some series, whose outputs have these names; a forecast with other
/// outputs is left out. None of too few series, or where nothing is known that differs.
pub fn global(
    series: &[(&History, &Forecast)],
    names: &[String],
    frequency: Frequency,
    seed: u64,
) -> Option<Global> {
    let is_alike = |of: &&(&History, &Forecast)| outputs_of(of.1).len() == names.len();
    let alike: Vec<(&History, &Forecast)> = series.iter().filter(is_alike).copied().collect();
    let (mut fitted, mut held_out) = parts(&alike, frequency, seed);
    if fitted.rows.len() < FITTED_MIN || held_out.rows.len() < FITTED_MIN / 2 {
        return None;
    }
    let inputs = complete(&mut fitted, &mut held_out);
    if inputs.is_empty() {
        return None;
    }
    let (n_fitted, n_held_out) = (fitted.rows.len(), held_out.rows.len());
    let output = |(at, name): (usize, &String)| {
        let tree = tree(name, &inputs, at, (&fitted, &held_out));
        let linear = linear(&inputs, at, (&fitted, &held_out));
        GlobalOutput { output: name.clone(), tree, linear }
    };
    let outputs = names.iter().enumerate().map(output).collect();
    Some(Global { n_fitted, n_held_out, inputs, outputs })
}

/// Fitted series and those held out: all series of a product on the same side.
fn parts(series: &[(&History, &Forecast)], frequency: Frequency, seed: u64) -> (Part, Part) {
    let key = |of: &Series| Digest::of(format!("{seed}/{}", of.product));
    let mut keyed: Vec<(Digest, &Series, &History, Period, &Forecast)> = series
        .iter()
        .map(|(history, forecast)| {
            (key(&history.series), &history.series, *history, forecast.origin, *forecast)
        })
        .collect();
    keyed.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.cmp(b.1)));
    keyed.truncate(SERIES_MAX);
    let none = || Part { rows: Vec::new(), targets: Vec::new() };
    let (mut fitted, mut held_out) = (none(), none());
    for (digest, _, history, origin, forecast) in keyed {
        // The first bytes are what the sample is sorted by.
        let is_held_out = digest.as_bytes()[31] < HELD_OUT;
        let part = if is_held_out { &mut held_out } else { &mut fitted };
        part.rows.push(inputs(history, frequency, origin));
        part.targets.push(outputs_of(forecast));
    }
    (fitted, held_out)
}

/// Keeps the inputs that are known of at least half of the fitted series and differ among them, and
/// puts their median where one is not known.
fn complete(fitted: &mut Part, held_out: &mut Part) -> Vec<Input> {
    let medians: Vec<Option<f64>> =
        (0..Input::ALL.len()).map(|at| median(&fitted.rows, at)).collect();
    for row in fitted.rows.iter_mut().chain(&mut held_out.rows) {
        let known = medians.iter().zip(&*row);
        let kept = known.filter_map(|(median, value)| {
            median.map(|median| if value.is_finite() { *value } else { median })
        });
        *row = kept.collect();
    }
    Input::ALL
        .into_iter()
        .zip(medians)
        .filter(|(_, median)| median.is_some())
        .map(|of| of.0)
        .collect()
}

fn median(rows: &[Vec<f64>], at: usize) -> Option<f64> {
    let known = rows.iter().map(|row| row[at]).filter(|value| value.is_finite());
    let mut sorted: Vec<f64> = known.collect();
    sorted.sort_by(f64::total_cmp);
    let differs = sorted.first() != sorted.last();
    (differs && 2 * sorted.len() >= rows.len()).then(|| sorted[sorted.len() / 2])
}

impl Part {
    fn target(&self, output: usize) -> Vec<f64> {
        self.targets.iter().map(|row| row[output]).collect()
    }

    fn fidelity(&self, output: usize, said: &dyn Fn(&[f64]) -> f64) -> Fidelity {
        let said: Vec<f64> = self.rows.iter().map(|row| said(row)).collect();
        Fidelity::of(&self.target(output), &said, &vec![1.0; said.len()])
    }
}

fn tree(
    name: &str,
    inputs: &[Input],
    output: usize,
    (fitted, held_out): (&Part, &Part),
) -> RuleSet {
    let leaf_min = LEAF_MIN.max(fitted.rows.len() / LEAF_PART);
    let tree = Tree::fit(&fitted.rows, &fitted.target(output), leaf_min);
    RuleSet {
        kind: Kind::SurrogateTree,
        fidelity: held_out.fidelity(output, &|row| tree.said(row)),
        rules: rules(name, inputs, &tree.leaves()),
    }
}

fn linear(inputs: &[Input], output: usize, (fitted, held_out): (&Part, &Part)) -> SlopeSet {
    let n = fitted.rows.len() as f64;
    let moments = |at: usize| {
        let mean = fitted.rows.iter().map(|row| row[at]).sum::<f64>() / n;
        let squares = fitted.rows.iter().map(|row| (row[at] - mean).powi(2)).sum::<f64>();
        (mean, (squares / n).sqrt())
    };
    let moments: Vec<(f64, f64)> = (0..inputs.len()).map(moments).collect();
    let standardised = |row: &[f64]| -> Vec<f64> {
        row.iter().zip(&moments).map(|(x, (mean, deviation))| (x - mean) / deviation).collect()
    };
    let rows: Vec<Vec<f64>> = fitted.rows.iter().map(|row| standardised(row)).collect();
    let fit = Linear::fit(&rows, &fitted.target(output), &vec![1.0; rows.len()]);
    let fidelity = held_out.fidelity(output, &|row| fit.said(&standardised(row)));
    let slope = |(at, input): (usize, &Input)| Slope {
        input: *input,
        name: input.name().to_owned(),
        per_deviation: fit.slopes[at],
        deviation: moments[at].1,
    };
    let mut slopes: Vec<Slope> = inputs.iter().enumerate().map(slope).collect();
    slopes.sort_by(|a, b| b.per_deviation.abs().total_cmp(&a.per_deviation.abs()));
    SlopeSet { kind: Kind::SurrogateLinear, fidelity, intercept: fit.intercept, slopes }
}

#[cfg(test)]
mod tests {
    use lifecycle::{Outlook, UnitsForecast};
    use panel::{Channel, Statics};

    use super::*;
    use crate::explained::{Given, output_names};

    /// A product that began `age` weeks before the origin and sold so much each week.
    fn history(product: usize, age: i32, units: f32) -> History {
        let mut channels: [Vec<f32>; 8] = Default::default();
        channels[Channel::Units as usize] = vec![units; age as usize];
        History {
            series: Series::of(format!("{product:03}")),
            statics: Statics::default(),
            start: Period(101 - age),
            channels,
            corrections: Vec::new(),
            given_stage: Vec::new(),
        }
    }

    fn forecast(history: &History, units: f32, halved: f32) -> Forecast {
        Forecast {
            series: history.series.clone(),
            origin: Period(100),
            units: Some(UnitsForecast { means: vec![units], ..UnitsForecast::default() }),
            stage_now: None,
            outlooks: [Outlook { turns: Some([halved, 0.0, 0.0]), stage: None }; 3],
            cold_start: false,
            far_from_training: false,
        }
    }

    /// A model that answers ten times the weekly units, and halved by age alone.
    fn many(n: usize) -> (Vec<History>, Vec<Forecast>) {
        let histories: Vec<History> = (0..n)
            .map(|at| history(at, 10 + (at * 37 % 90) as i32, (at * 13 % 29) as f32))
            .collect();
        let of = |history: &History| {
            let units = history.channel(Channel::Units)[0];
            let halved = if history.n_periods() < 40 { 0.1 } else { 0.6 };
            forecast(history, 10.0 * units, halved)
        };
        let forecasts = histories.iter().map(of).collect();
        (histories, forecasts)
    }

    #[test]
    fn each_surrogate_is_faithful_to_what_it_can_say() {
        let (histories, forecasts) = many(300);
        let series: Vec<(&History, &Forecast)> = histories.iter().zip(&forecasts).collect();
        let names = output_names(1, Given { turns: true, stages: false });
        let found = global(&series, &names, Frequency::Week, 1).expect("enough");
        assert_eq!(found.n_fitted + found.n_held_out, 300);
        assert!(found.n_held_out > 50);
        assert!(found.inputs.starts_with(&[Input::Age, Input::Units]));
        assert!(!found.inputs.contains(&Input::Price), "no price is known");
        let [units, halved, ..] = &found.outputs[..] else { panic!("units and turns") };
        let r_squared = |fidelity: Fidelity| fidelity.r_squared.expect("answers vary");
        assert!(r_squared(units.linear.fidelity) > 0.999);
        assert!(!units.linear.fidelity.is_low);
        assert_eq!(units.linear.slopes[0].input, Input::Units);
        let slope = units.linear.slopes[0].per_deviation / units.linear.slopes[0].deviation;
        assert!((slope - 10.0).abs() < 0.1, "{slope}");
        assert!(r_squared(halved.tree.fidelity) > 0.999);
        assert_eq!(halved.tree.rules.len(), 2);
        let young = "Of products with age below 40 weeks, the model says 10.0 %";
        assert!(halved.tree.rules[0].en.starts_with(young), "{}", halved.tree.rules[0].en);
        assert!(halved.linear.fidelity.is_low, "a step is no line");
        assert_eq!(global(&series, &names, Frequency::Week, 1), Some(found));
        let others = &names[..1];
        assert_eq!(global(&series, others, Frequency::Week, 1), None, "of other outputs");
    }

    #[test]
    fn a_few_series_have_no_surrogate() {
        let (histories, forecasts) = many(50);
        let series: Vec<(&History, &Forecast)> = histories.iter().zip(&forecasts).collect();
        let names = ["units, periods 1 to 1".to_owned()];
        assert_eq!(global(&series, &names, Frequency::Week, 1), None);
    }
}
