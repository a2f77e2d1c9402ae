//! Which stage to answer where macro-F1 is what counts.
//!
//! The likeliest class is the best answer where errors count alike; macro-F1 counts those of rare
//! classes more. What a forecaster's own probabilities expect of it is largest for the class with the
//! greatest probability times a weight of its class (Koyejo et al. 2014; Narasimhan et al. 2015).
//! The weights come from the probabilities alone, never from what came, and for all forecasters alike;
//! who is better calibrated decides better.

use crate::losses::{Losses, StageLosses};

/// Rows that weights are chosen on, at most.
const N_ROWS_MAX: usize = 8_000;

/// Rounds over the classes, and what the weight of a class is multiplied by in each.
const N_ROUNDS: usize = 4;
const N_FACTORS: usize = 21;
const LOG_FACTOR_MAX: f32 = 1.2;

/// Decides every stage of one forecaster.
pub(crate) fn decide(losses: &mut [Losses]) {
    for ahead in 0..4 {
        let said = losses.iter().filter_map(|losses| losses.stages[ahead].as_ref());
        let said: Vec<[f32; 5]> = said.map(|losses| losses.probabilities).collect();
        let some = said.len().div_ceil(N_ROWS_MAX).max(1);
        let some: Vec<[f32; 5]> = said.into_iter().step_by(some).collect();
        let weights = weights(&some);
        for StageLosses { probabilities, decision, .. } in
            losses.iter_mut().filter_map(|losses| losses.stages[ahead].as_mut())
        {
            *decision = heaviest(probabilities, &weights) as u8;
        }
    }
}

/// The weights of most expected macro-F1, by coordinate search.
fn weights(said: &[[f32; 5]]) -> [f32; 5] {
    let mut totals = [0.0; 5];
    for (total, p) in said.iter().flat_map(|said| (0..5).zip(said)).map(|(k, p)| (k, *p)) {
        totals[total] += f64::from(p);
    }
    let mut best = ([1.0; 5], expected(said, &[1.0; 5], &totals));
    for _ in 0..N_ROUNDS {
        for class in 0..5 {
            let start = best.0;
            for factor in 0..N_FACTORS {
                let place = factor as f32 / (N_FACTORS - 1) as f32;
                let mut weights = start;
                weights[class] *= (LOG_FACTOR_MAX * (2.0 * place - 1.0)).exp();
                let value = expected(said, &weights, &totals);
                if value > best.1 {
                    best = (weights, value);
                }
            }
        }
    }
    best.0
}

/// Macro-F1 as the probabilities expect it, in the ratio of expectations.
fn expected(said: &[[f32; 5]], weights: &[f32; 5], totals: &[f64; 5]) -> f64 {
    let (mut hits, mut answers) = ([0.0; 5], [0.0; 5]);
    for probabilities in said {
        let class = heaviest(probabilities, weights);
        hits[class] += f64::from(probabilities[class]);
        answers[class] += 1.0;
    }
    let f1 = |class: usize| {
        let all = totals[class] + answers[class];
        if all > 0.0 { 2.0 * hits[class] / all } else { 0.0 }
    };
    (0..5).map(f1).sum()
}

/// The class of the greatest weighted probability, the first of equals.
fn heaviest(probabilities: &[f32; 5], weights: &[f32; 5]) -> usize {
    let mut best = 0;
    for class in 1..5 {
        if probabilities[class] * weights[class] > probabilities[best] * weights[best] {
            best = class;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rare_class_is_answered_where_it_is_likelier_than_usual() {
        // One row in ten has .4 of a class that is rare elsewhere: the likeliest would never be it.
        let rare = [0.4, 0.6, 0.0, 0.0, 0.0];
        let common = [0.02, 0.98, 0.0, 0.0, 0.0];
        let said: Vec<[f32; 5]> =
            (0..1000).map(|row| if row % 10 == 0 { rare } else { common }).collect();
        let weights = weights(&said);
        assert_eq!(heaviest(&rare, &weights), 0);
        assert_eq!(heaviest(&common, &weights), 1);
    }

    #[test]
    fn nothing_is_decided_against_certainty() {
        let said: Vec<[f32; 5]> = (0..50)
            .map(|row| std::array::from_fn(|class| f32::from(u8::from(class == row % 5))))
            .collect();
        let weights = weights(&said);
        for (row, said) in said.iter().enumerate() {
            assert_eq!(heaviest(said, &weights), row % 5);
        }
        assert_eq!(super::weights(&[]), [1.0; 5]);
    }
}
