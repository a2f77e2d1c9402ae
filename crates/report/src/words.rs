//! The sentences of explanations, as the explainer wrote them.

use std::collections::BTreeMap;
use std::path::Path;

use lifecycle::Series;
use serde::Deserialize;

use crate::Error;
use crate::gather::read_json;
use crate::view::Waterfall;

/// `explanations.json`, as far as it is shown.
#[derive(Debug, Deserialize)]
struct Explanations {
    explanations: Vec<Explanation>,
}

#[derive(Debug, Deserialize)]
struct Explanation {
    series: Series,
    words: Vec<OfOutput>,
}

#[derive(Debug, Deserialize)]
struct OfOutput {
    output: String,
    en: Vec<String>,
}

/// Sentences in English, by series and output.
#[derive(Debug, Default)]
pub(crate) struct Words {
    by_series: BTreeMap<Series, BTreeMap<String, String>>,
}

impl Words {
    /// Those of an explanation's folder; none where it has none.
    pub(crate) fn open(explanations: &Path) -> Result<Self, Error> {
        let path = explanations.join("explanations.json");
        if !path.exists() {
            return Ok(Self::default());
        }
        let found: Explanations = read_json(&path)?;
        let told = |of: OfOutput| (of.output, of.en.join(" "));
        let of = |one: Explanation| (one.series, one.words.into_iter().map(told).collect());
        Ok(Self { by_series: found.explanations.into_iter().map(of).collect() })
    }

    /// Puts beside each waterfall of a series what is said of its output.
    pub(crate) fn tell(&self, series: &Series, waterfalls: &mut [Waterfall]) {
        for waterfall in waterfalls {
            let own = self.by_series.get(series).and_then(|own| own.get(&waterfall.output));
            waterfall.words = own.cloned().unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_stand_by_series_and_output() {
        let folder = tempfile::tempdir().expect("a folder");
        let text = r#"{"n_series": 1, "explanations": [{"origin": 3,
            "series": {"product": "mug", "location": null},
            "words": [{"output": "units", "en": ["It is 3.", "So it is."], "zh": []}]}]}"#;
        std::fs::write(folder.path().join("explanations.json"), text).expect("written");
        let said = |words: &Words, product: &str| {
            let waterfall = |output: &str| Waterfall {
                output: output.to_owned(),
                base: 0.0,
                served: 3.0,
                players: Vec::new(),
                words: String::new(),
            };
            let mut waterfalls = ["units", "P(silent)"].map(waterfall);
            words.tell(&Series::of(product), &mut waterfalls);
            waterfalls.map(|waterfall| waterfall.words)
        };
        let words = Words::open(folder.path()).expect("read");
        assert_eq!(said(&words, "mug"), ["It is 3. So it is.", ""]);
        assert_eq!(said(&words, "lamp"), ["", ""]);
        let other = tempfile::tempdir().expect("a folder");
        assert_eq!(said(&Words::open(other.path()).expect("none"), "mug"), ["", ""]);
    }
}
