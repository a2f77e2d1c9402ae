//! Successive halving over settings of a training (Jamieson & Talwalkar 2016; the inner loop of Li
//! et al. 2018, `Hyperband`): many settings get few steps, the best of them `eta` times as many,
//! until the last have all.
//!
//! A trial on a rung is a training like any other, from its own start and with a schedule as long as
//! its steps. So it is an artifact that whoever searches again finds, a killed search goes on where
//! it was, and short trainings are judged at the end of their cosine, not in the middle of a longer
//! one. It costs at most `eta / (eta - 1)` times the steps of trials that go on.
//!
//! Judged is the combined validation loss of the networks; test rows are in no trial. Settings that
//! choose or weigh validation rows are not searched: their losses could not be compared.

use std::collections::BTreeMap;

use lifecycle::Invalid;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::config::{Builtin, Config};

/// What is searched, and for how long: the TOML of `lifecast train --search`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// Settings on the first rung: the given ones, and others drawn from the space.
    pub trials: usize,
    /// One in so many goes on to the next rung, with so many times the steps.
    #[serde(default = "eta")]
    pub eta: usize,
    /// Steps of a trial on the first rung.
    pub steps_min: u64,
    /// Steps of a trial on the last rung.
    pub steps_max: u64,
    /// Seed of what is drawn; a training's own seed is a setting of the training.
    #[serde(default = "seed")]
    pub seed: u64,
    /// By setting: a list of values, `{ uniform = [low, high] }` or `{ log_uniform = [low, high] }`.
    pub space: Map<String, Value>,
}

fn eta() -> usize {
    3
}

fn seed() -> u64 {
    1
}

/// Settings to try, by their path in the configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Its place on the first rung; 0 has the settings that were given.
    pub number: usize,
    /// What is searched, with the values of this trial.
    pub settings: BTreeMap<String, Value>,
}

/// Trials with the same steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rung {
    /// Steps of each.
    pub steps: u64,
    /// How many there are.
    pub n_trials: usize,
}

/// Settings that every trial shares, and why they cannot be searched.
const SHARED: [(&str, &str); 12] = [
    ("seed", "is luck, not a choice"),
    ("steps_max", "is what the rungs set: give `steps_min` and `steps_max` beside the space"),
    ("builtin", "is given: its network, trained on, is judged with the others"),
    ("trees", "are grown after a search and judged beside the network"),
    ("foundation", "says what the model is for"),
    ("checkpoint_every", "changes no result"),
    ("labelled", "changes what is validated on"),
    ("rows_max", "changes what is validated on"),
    ("validation_rows_max", "changes what is validated on"),
    ("stage_holdout", "changes what is validated on"),
    ("scale_power", "changes what the validation loss means"),
    ("losses.reconstruction", "changes what the validation loss means"),
];

/// What a setting may be.
enum Domain {
    Choice(Vec<Value>),
    Range { low: f64, high: f64, is_log: bool, is_whole: bool },
}

impl Search {
    /// Checks every number of the search itself; the space is checked with a configuration.
    pub fn validate(&self) -> Result<(), Invalid> {
        let counts = [
            ("trials", self.trials as u64, 1, 10_000),
            ("eta", self.eta as u64, 2, 100),
            ("steps_min", self.steps_min, 1, self.steps_max),
            ("steps_max", self.steps_max, 1, 10_000_000),
        ];
        for (field, value, least, most) in counts {
            if !(least..=most).contains(&value) {
                return Err(Invalid::new(field, format!("{value} must be {least} to {most}")));
            }
        }
        if self.space.is_empty() {
            return Err(Invalid::new("space", "must name a setting"));
        }
        Ok(())
    }

    /// The rungs, first to last.
    pub fn rungs(&self) -> Vec<Rung> {
        let mut rungs = Vec::new();
        let (mut steps, mut n_trials) = (self.steps_min, self.trials);
        loop {
            if n_trials == 1 {
                steps = self.steps_max;
            }
            rungs.push(Rung { steps, n_trials });
            if steps >= self.steps_max {
                return rungs;
            }
            steps = steps.saturating_mul(self.eta as u64).min(self.steps_max);
            n_trials = (n_trials / self.eta).max(1);
        }
    }

    /// The trials of the first rung: the given settings, then those that are drawn. Trial `n` is the
    /// same however many there are, so a search can be widened.
    pub fn trials(&self, given: &Config) -> Result<Vec<Trial>, Invalid> {
        self.validate()?;
        let all = serde_json::to_value(given).unwrap_or_default();
        let mut domains = BTreeMap::new();
        collect("", &self.space, &all, &mut domains)?;
        let value_of = |path: &String| at(&all, path).cloned().unwrap_or_default();
        let as_given = domains.keys().map(|path| (path.clone(), value_of(path))).collect();
        let mut trials = vec![Trial { number: 0, settings: as_given }];
        for number in 1..self.trials {
            let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
            rng.set_stream(number as u64);
            let drawn = domains.iter().map(|(path, domain)| (path.clone(), domain.draw(&mut rng)));
            trials.push(Trial { number, settings: drawn.collect() });
        }
        for trial in &trials {
            self.config(trial, given, self.steps_max)?;
        }
        Ok(trials)
    }

    /// The configuration of a trial's training of so many steps. Trees, and the built-in model where it
    /// only stands beside the networks, are left out: they are the same in every trial.
    pub fn config(&self, trial: &Trial, given: &Config, steps: u64) -> Result<Config, Invalid> {
        let mut all = serde_json::to_value(given).unwrap_or_default();
        for (path, value) in &trial.settings {
            if let Some(place) = at_mut(&mut all, path) {
                *place = value.clone();
            }
            // One by one, so that an error has the name of what is wrong.
            serde_json::from_value::<Config>(all.clone())
                .map_err(|error| Invalid::new(format!("space.{path}"), error.to_string()))?;
        }
        let config: Config = serde_json::from_value(all)
            .map_err(|error| Invalid::new("space", error.to_string()))?;
        // Its network is trained by these settings, too; beside the networks it is asked afterwards.
        let builtin = if config.adds_builtin() { config.builtin } else { Builtin::None };
        let config = Config { steps_max: steps, trees: false, builtin, ..config };
        config.validate().map_err(|Invalid { field, reason }| {
            let is_searched = trial.settings.contains_key(&field);
            Invalid::new(if is_searched { format!("space.{field}") } else { field }, reason)
        })?;
        if !config.has_heads() {
            return Err(Invalid::new(
                "members",
                "the dense baseline has another loss: not searched",
            ));
        }
        Ok(config)
    }
}

/// The numbers of the `n` trials with the lowest losses, best first. A loss that is no number is the
/// worst; of equal ones the first is the better.
pub fn best_of(judged: &[(usize, f64)], n: usize) -> Vec<usize> {
    let mut order = judged.to_vec();
    order.sort_by(|(a, first), (b, second)| {
        let losses = (first.is_nan(), *first).partial_cmp(&(second.is_nan(), *second));
        losses.unwrap_or(std::cmp::Ordering::Equal).then(a.cmp(b))
    });
    order.into_iter().take(n).map(|(number, _)| number).collect()
}

/// Reads a part of the space; `all` are the settings that there are.
fn collect(
    prefix: &str,
    space: &Map<String, Value>,
    all: &Value,
    domains: &mut BTreeMap<String, Domain>,
) -> Result<(), Invalid> {
    for (key, value) in space {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        let invalid = |reason: String| Invalid::new(format!("space.{path}"), reason);
        let Some(setting) = at(all, &path) else {
            return Err(invalid("is no setting of a training".into()));
        };
        if let Some((_, why)) = SHARED.iter().find(|(shared, _)| *shared == path) {
            return Err(invalid(format!("{why}: set it in --config")));
        }
        match value {
            Value::Object(inner) if setting.is_object() => collect(&path, inner, all, domains)?,
            _ => {
                let domain = Domain::read(value).map_err(invalid)?;
                domains.insert(path, domain);
            }
        }
    }
    Ok(())
}

impl Domain {
    fn read(value: &Value) -> Result<Self, String> {
        const EXPECTED: &str = "must be a list of values, { uniform = [low, high] } or \
                                { log_uniform = [low, high] }";
        if let Value::Array(values) = value {
            let is_empty = values.is_empty();
            return if is_empty { Err(EXPECTED.into()) } else { Ok(Self::Choice(values.clone())) };
        }
        let only = value.as_object().filter(|object| object.len() == 1);
        let (kind, bounds) = only.and_then(|object| object.iter().next()).ok_or(EXPECTED)?;
        let is_log = match kind.as_str() {
            "uniform" => false,
            "log_uniform" => true,
            _ => return Err(EXPECTED.into()),
        };
        let bounds = bounds.as_array().map_or(&[][..], Vec::as_slice);
        let [low, high] = bounds else { return Err(EXPECTED.into()) };
        let is_whole = low.is_u64() && high.is_u64();
        let (low, high) = (low.as_f64().unwrap_or(f64::NAN), high.as_f64().unwrap_or(f64::NAN));
        if !(low < high && low.is_finite() && high.is_finite()) {
            return Err(format!("[{low}, {high}] must be two numbers, the lower one first"));
        }
        if is_log && low <= 0.0 {
            return Err(format!("[{low}, {high}] must be above 0 on a logarithmic scale"));
        }
        Ok(Self::Range { low, high, is_log, is_whole })
    }

    /// A value; numbers that are not whole have three digits.
    fn draw(&self, rng: &mut ChaCha8Rng) -> Value {
        let uniform: f64 = rng.random();
        match self {
            Self::Choice(values) => {
                let place = (uniform * values.len() as f64) as usize;
                values[place.min(values.len() - 1)].clone()
            }
            Self::Range { low, high, is_log, is_whole } => {
                let drawn = if *is_log {
                    (low.ln() + uniform * (high / low).ln()).exp()
                } else {
                    low + uniform * (high - low)
                };
                if *is_whole {
                    return Value::from(drawn.round() as u64);
                }
                let short = format!("{drawn:.2e}").parse().unwrap_or(drawn);
                Value::from(f64::clamp(short, *low, *high))
            }
        }
    }
}

fn at<'a>(all: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(all, |value, key| value.get(key))
}

fn at_mut<'a>(all: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    path.split('.').try_fold(all, |value, key| value.get_mut(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(space: &str) -> Search {
        let head = "trials = 20\neta = 3\nsteps_min = 10\nsteps_max = 80\n[space]\n";
        toml::from_str(&format!("{head}{space}")).expect("a search")
    }

    #[test]
    fn each_rung_keeps_one_in_eta_and_the_last_has_all_steps() {
        let rungs = |trials, steps_max| {
            let search = Search { trials, steps_max, ..search("batch = [1]") };
            search.rungs().into_iter().map(|r| (r.steps, r.n_trials)).collect::<Vec<_>>()
        };
        assert_eq!(rungs(20, 80), [(10, 20), (30, 6), (80, 2)]);
        assert_eq!(rungs(4, 900), [(10, 4), (900, 1)]);
        assert_eq!(rungs(5, 10), [(10, 5)]);
    }

    #[test]
    fn the_first_trial_is_what_was_given_and_the_others_are_drawn_within_their_bounds() {
        let search = search(
            "learning_rate = { log_uniform = [1e-3, 1e-2] }\nbatch = [32, 64]\n\
             patience = { uniform = [2, 4] }\nlosses.turns = { uniform = [0.5, 2.0] }",
        );
        let given = Config { dropout: 0.3, ..Config::default() };
        let trials = search.trials(&given).expect("trials");
        let configs: Vec<Config> =
            trials.iter().map(|t| search.config(t, &given, 30).expect("valid")).collect();
        let expected = Config { steps_max: 30, trees: false, ..given.clone() };
        assert_eq!(configs[0], expected);
        for config in &configs[1..] {
            assert!((1e-3..=1e-2).contains(&config.learning_rate), "{config:?}");
            assert!([32, 64].contains(&config.batch) && (2..=4).contains(&config.patience));
            assert!((0.5..=2.0).contains(&config.losses.turns) && config.dropout == 0.3);
        }
        assert!(configs[1..].iter().any(|config| config.batch == 32));
        let below = configs[1..].iter().filter(|config| config.learning_rate < 3.16e-3).count();
        assert!((4..=15).contains(&below), "half below the geometric middle, not {below}");
        let wider = Search { trials: 40, ..search };
        assert_eq!(wider.trials(&given).expect("trials")[..20], trials);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (space, field, reason) in [
            ("learing_rate = [1e-3]", "space.learing_rate", "no setting"),
            ("losses.turn = [1.0]", "space.losses.turn", "no setting"),
            ("seed = [1, 2]", "space.seed", "luck"),
            ("rows_max = [1, 2]", "space.rows_max", "--config"),
            ("dropout = []", "space.dropout", "list"),
            ("dropout = { normal = [0, 1] }", "space.dropout", "uniform"),
            ("dropout = { uniform = [0.3, 0.1] }", "space.dropout", "lower one first"),
            ("dropout = { log_uniform = [0.0, 0.1] }", "space.dropout", "above 0"),
            ("dropout = { uniform = [0.95, 0.99] }", "space.dropout", "0 to 0.9"),
            ("batch = { uniform = [1.5, 7.5] }", "space.batch", "usize"),
            ("optimiser = [\"adamax\"]", "space.optimiser", "adamw"),
            ("members = [[\"dense\"]]", "members", "another loss"),
        ] {
            let error = search(space).trials(&Config::default()).expect_err(space);
            assert_eq!(error.field, field);
            assert!(error.reason.contains(reason), "{error}");
        }
        let error = Search { steps_min: 90, ..search("batch = [1]") }.validate();
        assert_eq!(error.expect_err("more than the most").field, "steps_min");
    }

    #[test]
    fn the_lowest_losses_go_on() {
        let judged = [(4, 2.0), (1, f64::NAN), (7, 1.0), (2, 2.0), (9, f64::INFINITY)];
        assert_eq!(best_of(&judged, 4), [7, 2, 4, 9]);
        assert_eq!(best_of(&judged, 9).last(), Some(&1));
    }
}
