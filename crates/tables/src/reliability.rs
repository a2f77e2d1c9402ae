//! How far the stage labels of a features artifact can be relied on: `reliability.json`.

use std::fmt;

use lifecycle::trapezoid::LAMBDA;
use serde::{Deserialize, Serialize};

use crate::ThinnedBy;

/// What is known of the labels' reliability. The label is evidence, not truth.
///
/// All shares are over products and every 13th week (3rd month, 91st day), so that neighbouring
/// periods do not count as so many cases.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelReliability {
    /// How much the likelihood of a life counts in its label.
    pub lambda: f64,
    /// How `lambda` was chosen; none where it was given, or where sales cannot be cut in halves.
    pub lambda_fit: Option<LambdaFit>,
    /// By what sales were cut in halves, where they could be.
    pub thinned_by: Option<ThinnedBy>,
    /// Labels from one half of the buyers against those from the other.
    pub halves: Option<HalvesAgreement>,
    /// The label against the level rule on the same lives.
    pub level_rule: Option<Agreement>,
    /// Agreement of the label as made some weeks later with the final one; empty where the data is
    /// too short for both.
    pub settling: Vec<Settling>,
}

/// The values of `lambda` that were tried, on training products and data up to the cut.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LambdaFit {
    /// Products that were compared.
    pub n_products: usize,
    /// Product-periods.
    pub n: usize,
    /// Each value with its loss: see [`LambdaFit::chosen`].
    pub tried: Vec<LambdaLoss>,
}

impl LambdaFit {
    /// Of the values whose loss is within one standard error of the least, the nearest to what was
    /// found on other real data, [`LAMBDA`] (one-standard-error rule of Breiman, Friedman, Olshen &
    /// Stone 1984): few products do not decide by chance.
    pub fn chosen(&self) -> Option<f64> {
        let least = self.tried.iter().map(|tried| tried.log_loss).min_by(f64::total_cmp)?;
        let is_close = |tried: &&LambdaLoss| tried.log_loss - least <= tried.behind_standard_error;
        let distance = |tried: &LambdaLoss| (tried.lambda / LAMBDA).ln().abs();
        let close = self.tried.iter().filter(is_close);
        close
            .min_by(|one, other| distance(one).total_cmp(&distance(other)))
            .map(|tried| tried.lambda)
    }
}

/// One value of `lambda`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LambdaLoss {
    /// The value.
    pub lambda: f64,
    /// Mean over products of the cross-entropy of the label from one half of the buyers to the
    /// stages that the other half speaks for, in nats.
    pub log_loss: f64,
    /// Standard error of its difference from the least loss.
    pub behind_standard_error: f64,
}

/// How often two labels have the same likeliest stage.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agreement {
    /// Product-periods.
    pub n: u64,
    /// Share in which they agree.
    pub agreement: f64,
    /// The same beyond chance (Cohen 1960).
    pub kappa: f64,
}

/// Labels of products from each half of the buyers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HalvesAgreement {
    /// Products with a label from both halves.
    pub n_products: usize,
    /// Product-periods.
    pub n: u64,
    /// Share in which the two agree.
    pub agreement: f64,
    /// The same beyond chance (Cohen 1960).
    pub kappa: f64,
    /// Mean probability of a half's likeliest stage: what it claims.
    pub confidence: f64,
}

/// The label of a period as made so many weeks later, against the final one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settling {
    /// Weeks of data after the labelled period.
    pub weeks: u32,
    /// Over all cases.
    pub all: Settled,
    /// By tercile of units sold in the 13 weeks up to the labelled period, the fewest first.
    pub by_volume: [Settled; 3],
}

/// How much of the final label is in the early one.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settled {
    /// Product-periods.
    pub n: u64,
    /// Share in which the likeliest stage is the final one.
    pub agreement: f64,
    /// Mean probability that the early label gives to the final one's likeliest stage.
    pub probability: f64,
}

impl LabelReliability {
    /// One line for people, with the label's own entropy in nats where it is known; it ends with
    /// what must be said wherever labels are scored.
    pub fn told(&self, entropy: Option<f64>) -> String {
        let mut parts = Vec::new();
        match (&self.halves, self.thinned_by) {
            (Some(halves), Some(by)) => parts.push(format!(
                "halves by {} kappa {:.2} (agree {:.2}, claim {:.2}, {} products)",
                by.name(),
                halves.kappa,
                halves.agreement,
                halves.confidence,
                halves.n_products
            )),
            (None, Some(_)) => parts.push("kappa unknown (too few sales for halves)".to_owned()),
            _ => parts.push("kappa unknown (no buyers or orders to cut in halves)".to_owned()),
        }
        if let Some(level_rule) = &self.level_rule {
            parts.push(format!("kappa against the level rule {:.2}", level_rule.kappa));
        }
        if !self.settling.is_empty() {
            let joined = |of: &dyn Fn(&Settling) -> String| -> String {
                self.settling.iter().map(of).collect::<Vec<_>>().join("/")
            };
            let weeks = joined(&|one| one.weeks.to_string());
            let shares = joined(&|one| format!("{:.2}", one.all.agreement));
            parts.push(format!("after {weeks} weeks the final stage in {shares}"));
        }
        if let Some(entropy) = entropy {
            parts.push(format!("own entropy {entropy:.2} nats"));
        }
        let how = if self.lambda_fit.is_some() { " (fitted)" } else { "" };
        parts.push(format!("lambda {}{how}", self.lambda));
        format!("stage labels: {}; the label is evidence, not truth", parts.join(", "))
    }
}

impl fmt::Display for LabelReliability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told(None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_one_line_and_comes_back_from_its_file() {
        let agreement = Agreement { n: 900, agreement: 0.7, kappa: 0.456 };
        let settled = Settled { n: 12, agreement: 0.58, probability: 0.5 };
        let nothing = LabelReliability {
            lambda: 0.25,
            lambda_fit: None,
            thinned_by: None,
            halves: None,
            level_rule: None,
            settling: Vec::new(),
        };
        let all = LabelReliability {
            lambda_fit: Some(LambdaFit {
                n_products: 3,
                n: 9,
                tried: vec![LambdaLoss { lambda: 0.25, log_loss: 0.9, behind_standard_error: 0.0 }],
            }),
            thinned_by: Some(ThinnedBy::Buyer),
            halves: Some(HalvesAgreement {
                n_products: 300,
                n: 900,
                agreement: 0.7,
                kappa: 0.456,
                confidence: 0.73,
            }),
            level_rule: Some(agreement),
            settling: vec![Settling { weeks: 8, all: settled, by_volume: [settled; 3] }],
            ..nothing.clone()
        };
        for (reliability, entropy, line) in [
            (
                nothing,
                None,
                "stage labels: kappa unknown (no buyers or orders to cut in halves), lambda 0.25; \
                 the label is evidence, not truth",
            ),
            (
                all,
                Some(0.231),
                "stage labels: halves by buyer kappa 0.46 (agree 0.70, claim 0.73, 300 products), \
                 kappa against the level rule 0.46, after 8 weeks the final stage in 0.58, own \
                 entropy 0.23 nats, lambda 0.25 (fitted); the label is evidence, not truth",
            ),
        ] {
            assert_eq!(reliability.told(entropy), line);
            let text = serde_json::to_string(&reliability).expect("json");
            assert_eq!(serde_json::from_str::<LabelReliability>(&text).expect("read"), reliability);
        }
    }

    #[test]
    fn a_lambda_is_chosen_against_the_usual_one_only_where_the_data_is_clear() {
        let chosen = |standard_error: f64| {
            let tried = [(0.1, 1.4), (0.25, 1.2), (0.5, 1.1), (1.0, 1.0)].map(|(lambda, loss)| {
                let behind_standard_error = if loss > 1.0 { standard_error } else { 0.0 };
                LambdaLoss { lambda, log_loss: loss, behind_standard_error }
            });
            LambdaFit { n_products: 9, n: 9, tried: tried.to_vec() }.chosen()
        };
        assert_eq!([0.3, 0.15, 0.05].map(chosen), [Some(0.25), Some(0.5), Some(1.0)]);
        assert_eq!(LambdaFit { n_products: 0, n: 0, tried: Vec::new() }.chosen(), None);
    }
}
