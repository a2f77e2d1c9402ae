//! A row of numbers, split over its columns for a model that answers rows with numbers.
//!
//! Players are columns, or groups of them that belong together, such as a category as 0 and 1. An absent
//! one takes the values of real rows, medoids of the table with weights, and outputs are averaged over
//! those: the interventional expectation of Lundberg & Lee (2017) and Janzing et al. (2020). How
//! coalitions become values is the estimators' matter, as for our own model.

use lifecycle::{Attribution, EstimateEnd, Invalid};
use serde::{Deserialize, Serialize};

use crate::background::{medoids, standardised};
use crate::coalition::Coalition;
use crate::config::Config;
use crate::error::Error;
use crate::estimator::{Estimate, Interactions, Limits, Method, PLAYERS_MAX, estimate};
use crate::method::Effort;

/// Rows that are clustered at most: those at equal distances in the table.
const CANDIDATES_MAX: usize = 256;

/// What a model may answer apart for one row, as a share of its answers: more than rounding of 32 bits.
const NOISE_MAX: f64 = 1e-4;

/// Columns that are credited together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Name in tables and plots.
    pub name: String,
    /// Positions in a row.
    pub columns: Vec<usize>,
}

/// A row to explain.
#[derive(Debug, Clone, Copy)]
pub struct RowQuestion<'a> {
    /// Size of the background, method, limits and seed; the rest means nothing here.
    pub config: &'a Config,
    /// The players; a column of none is always the row's own.
    pub groups: &'a [Group],
    /// Which row.
    pub row: usize,
    /// All rows: what stands in is found among the others. Shape `[n_rows, n_columns]`.
    pub rows: &'a [Vec<f64>],
}

/// A row explained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RowExplanation {
    /// Names of the players. Length `n_players`.
    pub players: Vec<String>,
    /// One an output; base and values add up to the model's answer.
    pub attributions: Vec<Attribution>,
    /// What two players add together.
    pub interactions: Interactions,
    /// The model's answer for the row as it is. Length `n_outputs`.
    pub answers: Vec<f64>,
    /// Rows that stood in for absent players.
    pub background: Vec<usize>,
    /// How much each of them counts; they sum to 1.
    pub background_weights: Vec<f64>,
    /// How the values were estimated.
    pub method: Method,
    /// Half the width of a 95 % interval, in standard errors.
    pub quantile: f64,
    /// Rows that the model was asked about.
    pub n_evaluations: usize,
    /// What the relative error of the values is likely to be within.
    pub relative_error: f64,
    /// Why there are no more evaluations.
    pub end: EstimateEnd,
}

/// Why a row was not explained.
#[derive(Debug, thiserror::Error)]
pub enum RowError<E> {
    /// The question is wrong.
    #[error(transparent)]
    Question(#[from] Error),
    /// The model did not answer.
    #[error("the model failed")]
    Model(#[source] E),
    /// It answers the same row in two ways, so nothing would add up to its answer.
    #[error(
        "the model does not answer the same row alike: output {output} is {once}, asked again {again}"
    )]
    Unsteady {
        /// Which output, from 0.
        output: usize,
        /// What it was for the row alone.
        once: f64,
        /// What it was among other rows.
        again: f64,
    },
    /// It answers with another number of outputs than for the row that is explained.
    #[error("the model answers {found} outputs for one row and {expected} for another")]
    Outputs {
        /// For the row that is explained.
        expected: usize,
        /// For another one.
        found: usize,
    },
}

impl RowQuestion<'_> {
    /// Splits every output over the players. `answer` has the model's outputs for many rows, in their
    /// order.
    pub fn answer<E>(
        &self,
        mut answer: impl FnMut(&[Vec<f64>]) -> Result<Vec<Vec<f64>>, E>,
    ) -> Result<RowExplanation, RowError<E>> {
        let Self { config, groups, row, rows } = *self;
        self.validate()?;
        let (background, weights) = self.background();
        let own = &rows[row];
        let answers = answer(std::slice::from_ref(own)).map_err(RowError::Model)?;
        let answers = answers.into_iter().next().unwrap_or_default();
        let effort = Effort::within(config, groups.len(), background.len())?;
        let tolerance = if effort.method == Method::Exact { 0.0 } else { config.tolerance };
        let limits = Limits { tolerance, ..Limits::evaluations(effort.n_coalitions, config.seed) };
        let outputs = |coalitions: &[Coalition]| {
            let altered = coalitions.iter().flat_map(|coalition| {
                background.iter().map(|other| self.altered(coalition, &rows[*other]))
            });
            let outputs = answer(&altered.collect::<Vec<_>>()).map_err(RowError::Model)?;
            if let Some(other) = outputs.iter().find(|row| row.len() != answers.len()) {
                return Err(RowError::Outputs { expected: answers.len(), found: other.len() });
            }
            let means: Vec<_> =
                outputs.chunks(background.len()).map(|some| mean(some, &weights)).collect();
            steady(&answers, coalitions, &means)?;
            Ok(means)
        };
        let found = estimate(effort.method, groups.len(), &limits, outputs, |_| {})?;
        let relative_error = found.relative_error().min(f64::MAX);
        let Estimate { attributions, interactions, quantile, n_evaluations, end } = found;
        Ok(RowExplanation {
            players: groups.iter().map(|group| group.name.clone()).collect(),
            attributions,
            interactions,
            answers,
            n_evaluations: n_evaluations * background.len() + 1,
            background,
            background_weights: weights,
            method: effort.method,
            quantile,
            relative_error,
            end,
        })
    }

    fn validate(&self) -> Result<(), Error> {
        let Self { config, groups, row, rows } = *self;
        config.validate()?;
        let wrong = |field: &str, reason: String| Err(Error::Config(Invalid::new(field, reason)));
        if row >= rows.len() || rows.len() < 2 {
            let reason =
                format!("{row} of {} rows: one is explained, another stands in", rows.len());
            return wrong("row", reason);
        }
        if !(1..=PLAYERS_MAX).contains(&groups.len()) {
            let reason = format!("{} are not 1 to {PLAYERS_MAX}: group columns", groups.len());
            return wrong("players", reason);
        }
        let n_columns = rows[row].len();
        let mut columns: Vec<usize> =
            groups.iter().flat_map(|group| group.columns.clone()).collect();
        let n_named = columns.len();
        columns.sort_unstable();
        columns.dedup();
        if columns.len() < n_named || columns.last().is_some_and(|last| *last >= n_columns) {
            return wrong("players", format!("each column of {n_columns} belongs to one at most"));
        }
        Ok(())
    }

    /// Other rows with weights: medoids.
    fn background(&self) -> (Vec<usize>, Vec<f64>) {
        let others: Vec<usize> = (0..self.rows.len()).filter(|other| *other != self.row).collect();
        let n = others.len().min(CANDIDATES_MAX);
        let some: Vec<usize> = (0..n).map(|at| others[at * others.len() / n]).collect();
        let points = standardised(some.iter().map(|other| self.rows[*other].clone()).collect());
        let (found, weights) = medoids(&points, self.config.n_background);
        (found.into_iter().map(|at| some[at]).collect(), weights)
    }

    /// The row with every absent player replaced by another row's.
    fn altered(&self, coalition: &Coalition, other: &[f64]) -> Vec<f64> {
        let mut altered = self.rows[self.row].clone();
        let absent = self.groups.iter().zip(coalition).filter(|(_, is_present)| !**is_present);
        for column in absent.flat_map(|(group, _)| &group.columns) {
            altered[*column] = other[*column];
        }
        altered
    }
}

/// Checks that everybody together gives the answer for the row alone, as far as rounding allows: the
/// first batch has everybody and nobody, which say how large outputs are.
fn steady<E>(
    answers: &[f64],
    coalitions: &[Coalition],
    means: &[Vec<f64>],
) -> Result<(), RowError<E>> {
    let everybody = coalitions.iter().position(|coalition| coalition.iter().all(|is_in| *is_in));
    let Some(everybody) = everybody else { return Ok(()) };
    for (output, (once, again)) in answers.iter().zip(&means[everybody]).enumerate() {
        let size = means.iter().map(|mean| mean[output].abs()).fold(once.abs(), f64::max);
        if (once - again).abs() > NOISE_MAX * size {
            return Err(RowError::Unsteady { output, once: *once, again: *again });
        }
    }
    Ok(())
}

fn mean(outputs: &[Vec<f64>], weights: &[f64]) -> Vec<f64> {
    let of = |output: usize| outputs.iter().zip(weights).map(|(row, w)| w * row[output]).sum();
    (0..outputs.first().map_or(0, Vec::len)).map(of).collect()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn rows() -> Vec<Vec<f64>> {
        (0..40_u16)
            .map(|row| (0..4_u16).map(|at| f64::from((row * 7 + at * 11) % 13)).collect())
            .collect()
    }

    fn columns(names: [&str; 4]) -> Vec<Group> {
        let of = |(at, name): (usize, &str)| Group { name: name.to_owned(), columns: vec![at] };
        names.into_iter().enumerate().map(of).collect()
    }

    /// Linear in all but the product of the last two.
    fn model(rows: &[Vec<f64>]) -> Vec<Vec<f64>> {
        rows.iter().map(|x| vec![3.0 * x[0] - x[1] + x[2] * x[3], x[1]]).collect()
    }

    #[test]
    fn a_linear_part_is_credited_its_distance_from_the_background() {
        let (rows, groups) = (rows(), columns(["a", "b", "c", "d"]));
        let config = Config::default();
        let question = RowQuestion { config: &config, groups: &groups, row: 5, rows: &rows };
        let found = question.answer(|rows| Ok::<_, Infallible>(model(rows))).expect("answers");
        let mean_of = |column: usize| {
            let rows = found.background.iter().zip(&found.background_weights);
            rows.map(|(row, weight)| weight * question.rows[*row][column]).sum::<f64>()
        };
        let [first, second] = &found.attributions[..] else { panic!("two outputs") };
        let own = |column: usize| rows[5][column];
        assert!((first.values[0] - 3.0 * (own(0) - mean_of(0))).abs() < 1e-9);
        assert!((first.values[1] + (own(1) - mean_of(1))).abs() < 1e-9);
        assert!(second.values[0].abs() < 1e-12 && second.values[2].abs() < 1e-12);
        for (attribution, answer) in found.attributions.iter().zip(&found.answers) {
            assert!(attribution.gap(*answer) < 1e-9);
        }
        assert!(!found.background.contains(&5));
        assert_eq!((found.method, found.end), (Method::Exact, EstimateEnd::Complete));
    }

    #[test]
    fn columns_that_differ_beyond_32_bits_are_told_apart() {
        let second = |row: u32| vec![1_767_225_600.0 + f64::from(row)];
        let rows: Vec<Vec<f64>> = (0..9).map(second).collect();
        let groups = [Group { name: "second".to_owned(), columns: vec![0] }];
        let config = Config { n_background: 1, ..Config::default() };
        let question = RowQuestion { config: &config, groups: &groups, row: 0, rows: &rows };
        let after = |rows: &[Vec<f64>]| {
            Ok::<_, Infallible>(rows.iter().map(|row| vec![row[0] - 1_767_225_600.0]).collect())
        };
        let found = question.answer(after).expect("answers");
        assert_eq!(found.attributions[0].values, [-(found.background[0] as f64)]);
    }

    #[test]
    fn a_model_with_noise_or_with_other_outputs_is_refused() {
        let (rows, groups) = (rows(), columns(["a", "b", "c", "d"]));
        let config = Config::default();
        let question = RowQuestion { config: &config, groups: &groups, row: 5, rows: &rows };
        // Each call answers a little more.
        let told = |each: f64| {
            let mut more = 0.0;
            question.answer(|rows| {
                more += each;
                let mut answers = model(rows);
                for row in &mut answers {
                    row[1] += more;
                }
                Ok::<_, Infallible>(answers)
            })
        };
        told(1e-6).expect("that is rounding");
        let error = told(0.1).expect_err("noise");
        assert!(matches!(error, RowError::Unsteady { output: 1, .. }), "{error}");
        let wider = question
            .answer(|rows| Ok::<_, Infallible>(vec![vec![0.0; rows.len().min(2)]; rows.len()]));
        let error = wider.expect_err("one output, then two");
        assert!(matches!(error, RowError::Outputs { expected: 1, found: 2 }), "{error}");
    }

    #[test]
    fn wrong_questions_are_refused_by_name() {
        let (rows, config) = (rows(), Config::default());
        let mut groups = columns(["a", "b", "c", "d"]);
        let told = |groups: &[Group], row: usize| {
            let question = RowQuestion { config: &config, groups, row, rows: &rows };
            match question.answer(|rows| Ok::<_, Infallible>(model(rows))) {
                Err(RowError::Question(Error::Config(invalid))) => invalid.field,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(told(&groups, 40), "row");
        assert_eq!(told(&[], 0), "players");
        groups[1].columns = vec![0];
        assert_eq!(told(&groups, 0), "players");
        groups[1].columns = vec![4];
        assert_eq!(told(&groups, 0), "players");
    }
}
