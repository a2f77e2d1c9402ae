//! What an artifact was made from.

use std::collections::BTreeMap;

use lifecycle::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// All that decides the bytes of an artifact. Equal keys promise equal content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// The stage's name: `ingest`, `train`.
    pub stage: String,
    /// Digest of the sources of the stage and of what lies below it, taken at build time.
    pub code_version: String,
    /// The stage's configuration, with its defaults written out. Order and spacing do not matter.
    pub config: Value,
    /// Content digests of the inputs by what they are to the stage.
    pub inputs: BTreeMap<String, Digest>,
    /// What else moves bits: target features, device kind, world size.
    pub execution: BTreeMap<String, String>,
}

impl Key {
    /// SHA-256 of the key in canonical JSON.
    pub fn digest(&self) -> Digest {
        Digest::of(canonical(self))
    }
}

/// JSON without spaces, with the fields of every object sorted by name.
pub(crate) fn canonical(value: &impl Serialize) -> String {
    let mut value =
        serde_json::to_value(value).expect("our types have string keys and nothing that fails");
    value.sort_all_objects(); // matters only if some dependency turns `preserve_order` on
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use serde_json::json;

    fn key() -> Key {
        Key {
            stage: "features".into(),
            code_version: "c0de".into(),
            config: json!({"horizon": 13, "context": 104, "nested": {"b": 0.1, "a": [1, null]}}),
            inputs: [("dataset".into(), Digest::of("data"))].into(),
            execution: [("device".into(), "cpu".into())].into(),
        }
    }

    #[test]
    fn canonical_json_sorts_fields_at_every_depth() {
        expect![[r#"{"code_version":"c0de","config":{"context":104,"horizon":13,"nested":{"a":[1,null],"b":0.1}},"execution":{"device":"cpu"},"inputs":{"dataset":"3a6eb0790f39ac87c94f3856b2dd2c5d110e6811602261a9a923d3bb23adc8b7"},"stage":"features"}"#]]
        .assert_eq(&canonical(&key()));
    }

    #[test]
    fn order_of_the_configuration_does_not_change_the_digest() {
        let text = r#"{ "nested": {"a": [1, null], "b": 0.1}, "context": 104, "horizon": 13 }"#;
        let reordered = Key { config: serde_json::from_str(text).unwrap(), ..key() };
        assert_eq!(reordered.digest(), key().digest());
    }

    #[test]
    fn every_field_changes_the_digest() {
        let others = [
            Key { stage: "ingest".into(), ..key() },
            Key { code_version: "c0df".into(), ..key() },
            Key { config: json!({"horizon": 14}), ..key() },
            Key { inputs: [("dataset".into(), Digest::of("other"))].into(), ..key() },
            Key { inputs: [("panel".into(), Digest::of("data"))].into(), ..key() },
            Key { execution: BTreeMap::new(), ..key() },
        ];
        for other in others {
            assert_ne!(other.digest(), key().digest(), "{other:?}");
        }
    }
}
