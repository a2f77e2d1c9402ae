//! Surrogates: rules of a tree and slopes of a linear model for all forecasts, and LIME weights of one.
//! None of them is a Shapley value, so none is in a picture with those.

use std::path::Path;

use lifecycle::Series;
use serde::Deserialize;

use crate::Error;
use crate::gather::read_json;
use crate::numbers::{score, short};
use crate::view::{LimeView, SurrogateView, SurrogatesView};

/// `surrogates.json`, as far as it is shown.
#[derive(Debug, Deserialize)]
pub(crate) struct Surrogates {
    fidelity_min: f64,
    global: Option<Global>,
    local: Vec<Lime>,
}

#[derive(Debug, Deserialize)]
struct Global {
    n_fitted: usize,
    n_held_out: usize,
    outputs: Vec<OfOutput>,
}

#[derive(Debug, Deserialize)]
struct OfOutput {
    output: String,
    tree: Tree,
    linear: Linear,
}

#[derive(Debug, Deserialize)]
struct Tree {
    fidelity: Fidelity,
    rules: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
struct Rule {
    en: String,
}

#[derive(Debug, Deserialize)]
struct Linear {
    fidelity: Fidelity,
    slopes: Vec<Slope>,
}

#[derive(Debug, Deserialize)]
struct Slope {
    name: String,
    per_deviation: f64,
}

#[derive(Debug, Deserialize)]
struct Fidelity {
    r_squared: Option<f64>,
    is_low: bool,
}

#[derive(Debug, Deserialize)]
struct Lime {
    series: Series,
    players: Vec<String>,
    outputs: Vec<LimeOutput>,
}

#[derive(Debug, Deserialize)]
struct LimeOutput {
    output: String,
    weights: Vec<f64>,
    fidelity: Fidelity,
}

impl Fidelity {
    fn told(&self) -> String {
        self.r_squared.map_or_else(|| "–".to_owned(), score)
    }
}

impl Surrogates {
    /// Those of an explanation's folder; none where it has none.
    pub(crate) fn open(explanations: &Path) -> Result<Option<Self>, Error> {
        let path = explanations.join("surrogates.json");
        if path.exists() { read_json(&path).map(Some) } else { Ok(None) }
    }

    /// Surrogates of all forecasts.
    pub(crate) fn view(&self) -> Option<SurrogatesView> {
        let Global { n_fitted, n_held_out, outputs } = self.global.as_ref()?;
        let view = |OfOutput { output, tree, linear }: &OfOutput| SurrogateView {
            output: output.clone(),
            tree_fidelity: tree.fidelity.told(),
            tree_is_low: tree.fidelity.is_low,
            rules: tree.rules.iter().map(|rule| rule.en.clone()).collect(),
            linear_fidelity: linear.fidelity.told(),
            linear_is_low: linear.fidelity.is_low,
            slopes: linear.slopes.iter().map(|slope| slope_view(output, slope)).collect(),
        };
        Some(SurrogatesView {
            fidelity_min: self.fidelity_min,
            n_fitted: *n_fitted,
            n_held_out: *n_held_out,
            outputs: outputs.iter().map(view).collect(),
        })
    }

    /// LIME weights of one series, one an output, the largest first.
    pub(crate) fn limes(&self, series: &Series) -> Vec<LimeView> {
        let own = self.local.iter().filter(|lime| lime.series == *series);
        own.flat_map(|lime| lime.outputs.iter().map(|output| lime_view(lime, output))).collect()
    }
}

fn slope_view(output: &str, slope: &Slope) -> (String, String) {
    let told = if output.starts_with("P(") {
        format!("{:+.1} points", 100.0 * slope.per_deviation)
    } else {
        format!("{:+.2}", slope.per_deviation)
    };
    (slope.name.clone(), told)
}

fn lime_view(lime: &Lime, output: &LimeOutput) -> LimeView {
    let weights = output.weights.iter().map(|weight| short(*weight as f32));
    let mut players: Vec<(String, f32)> = lime.players.iter().cloned().zip(weights).collect();
    players.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
    LimeView {
        output: output.output.clone(),
        fidelity: output.fidelity.told(),
        is_low: output.fidelity.is_low,
        players,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fidelity_goes_with_every_surrogate() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(Surrogates::open(folder.path()).expect("nothing to read").is_none());
        let text = r#"{"fidelity_min": 0.8,
            "global": {"n_fitted": 90, "n_held_out": 40, "inputs": ["age"], "outputs": [{
                "output": "P(silent by 13 weeks)",
                "tree": {"kind": "surrogate_tree", "fidelity":
                    {"r_squared": 0.5, "n_held_out": 40, "is_low": true},
                    "rules": [{"mean": 0.1, "n": 90, "en": "Of any product.", "zh": ""}]},
                "linear": {"kind": "surrogate_linear", "fidelity":
                    {"r_squared": null, "n_held_out": 40, "is_low": true}, "intercept": 0.1,
                    "slopes": [{"input": "age", "name": "age", "per_deviation": -0.123,
                                "deviation": 5.0}]}}]},
            "local": [{"series": {"product": "mug", "location": null}, "origin": 3,
                "kind": "lime_weights", "players": ["sales", "price"], "n_evaluations": 9,
                "outputs": [{"output": "units", "intercept": 1.0, "weights": [1.0, -2.5],
                    "fidelity": {"r_squared": 0.91234, "n_held_out": 9, "is_low": false}}]}]}"#;
        std::fs::write(folder.path().join("surrogates.json"), text).expect("written");
        let found = Surrogates::open(folder.path()).expect("read").expect("there");
        let view = found.view().expect("of all forecasts");
        let output = &view.outputs[0];
        assert_eq!((output.tree_fidelity.as_str(), output.tree_is_low), ("0.500", true));
        assert_eq!((output.linear_fidelity.as_str(), output.linear_is_low), ("–", true));
        assert_eq!(output.slopes, [("age".to_owned(), "-12.3 points".to_owned())]);
        let limes = found.limes(&Series::of("mug"));
        assert_eq!((limes[0].fidelity.as_str(), limes[0].is_low), ("0.912", false));
        assert_eq!(limes[0].players[0], ("price".to_owned(), -2.5));
        assert!(found.limes(&Series::of("lamp")).is_empty());
    }
}
