//! Which forecasts are written.

use lifecycle::Invalid;
use serde::{Deserialize, Serialize};

/// Most bytes of a model's name; `evaluate` takes forecasts by such names.
const NAME_BYTES_MAX: usize = 64;

/// The `[predict]` table of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Name of the model in tables of scores; empty: `lifecast`, or `dense` for that network.
    pub name: String,
    /// From validation origins, as many periods apart as test origins.
    pub validation: bool,
    /// From test origins.
    pub test: bool,
    /// From the last period of the data: what plans and reports are made of.
    pub latest: bool,
    /// From so many origins before the last period: a rolling back-test, at once over all origins.
    /// What a model says of origins before the cut it was trained on is no test of it.
    pub back_test: usize,
    /// Periods between two of these origins; 0: as many as between test origins.
    pub back_test_step: usize,
    /// Most rows in one file.
    pub part_rows: usize,
    /// Most rows held in memory at a time (never less than one origin's).
    pub rows_in_memory: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: String::new(),
            validation: true,
            test: true,
            latest: true,
            back_test: 0,
            back_test_step: 0,
            part_rows: 20_000,
            rows_in_memory: 200_000,
        }
    }
}

impl Config {
    /// Checks the name and numbers, and that any origin is asked for.
    pub fn validate(&self) -> Result<(), Invalid> {
        for (field, value) in
            [("part_rows", self.part_rows), ("rows_in_memory", self.rows_in_memory)]
        {
            if !(1..=10_000_000).contains(&value) {
                return Err(Invalid::new(field, format!("{value} must be 1 to 10000000")));
            }
        }
        for (field, value) in
            [("back_test", self.back_test), ("back_test_step", self.back_test_step)]
        {
            if value > 10_000 {
                return Err(Invalid::new(field, format!("{value} must be at most 10000")));
            }
        }
        if !(self.validation || self.test || self.latest || self.back_test > 0) {
            let reason =
                "one of `validation`, `test`, `latest` must be true, or `back_test` above 0";
            return Err(Invalid::new("test", reason));
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if self.name.len() > NAME_BYTES_MAX || !self.name.bytes().all(plain) {
            let reason = format!("must be at most {NAME_BYTES_MAX} letters, digits or `._-`");
            return Err(Invalid::new("name", reason));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_that_of_a_model() {
        let named = |name: &str| Config { name: name.to_owned(), ..Config::default() }.validate();
        assert_eq!((named(""), named("dense-2.1_a")), (Ok(()), Ok(())));
        assert_eq!(named("a/b").expect_err("no name of a model").field, "name");
    }
}
