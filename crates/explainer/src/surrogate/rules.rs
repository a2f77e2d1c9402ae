//! The leaves of a tree as sentences, in English and in Chinese.

use serde::{Deserialize, Serialize};

use super::inputs::Input;
use super::tree::Leaf;
use crate::words;

/// What the model says on average where some conditions hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Mean answer for the products that the tree was fitted to.
    pub mean: f64,
    /// How many those are.
    pub n: usize,
    /// As a sentence.
    pub en: String,
    /// In Chinese, simplified.
    pub zh: String,
}

/// One rule a leaf of a tree on these inputs.
pub(super) fn rules(output: &str, inputs: &[Input], leaves: &[Leaf]) -> Vec<Rule> {
    let n_all = leaves.iter().map(|leaf| leaf.n).sum();
    leaves.iter().map(|leaf| rule(output, inputs, leaf, n_all)).collect()
}

fn rule(output: &str, inputs: &[Input], leaf: &Leaf, n_all: usize) -> Rule {
    let Leaf { bounds, mean, n } = leaf;
    let (conditions, conditions_zh): (Vec<String>, Vec<String>) = bounds
        .iter()
        .map(|(input, bounds)| {
            (condition(inputs[*input], *bounds), condition_zh(inputs[*input], *bounds))
        })
        .unzip();
    let answer = words::number(output, *mean);
    let (of, of_zh) = if conditions.is_empty() {
        ("any product".to_owned(), "任何产品".to_owned())
    } else {
        let with = format!("products with {}", conditions.join(", "));
        (with, format!("{}的产品", conditions_zh.join("、")))
    };
    let output_zh = words::output_in_chinese(output);
    Rule {
        mean: *mean,
        n: *n,
        en: format!("Of {of}, the model says {answer} for `{output}` on average ({n} of {n_all})."),
        zh: format!("对于{of_zh}，模型对“{output_zh}”的预测平均为{answer}（{n_all}个中的{n}个）。"),
    }
}

fn condition(input: Input, [low, high]: [Option<f64>; 2]) -> String {
    let (name, told) = (input.name(), |value| input.told(value));
    match (low, high) {
        (Some(low), Some(high)) => format!("{name} from {} to below {}", told(low), told(high)),
        (Some(low), None) => format!("{name} of {} or more", told(low)),
        (None, Some(high)) => format!("{name} below {}", told(high)),
        (None, None) => name.to_owned(),
    }
}

fn condition_zh(input: Input, [low, high]: [Option<f64>; 2]) -> String {
    let (name, told) = (input.name_zh(), |value| input.told_zh(value));
    match (low, high) {
        (Some(low), Some(high)) => format!("{name}不低于{}且低于{}", told(low), told(high)),
        (Some(low), None) => format!("{name}不低于{}", told(low)),
        (None, Some(high)) => format!("{name}低于{}", told(high)),
        (None, None) => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn a_leaf_is_a_sentence() {
        let inputs = [Input::Age, Input::Growth];
        let leaves = [
            Leaf { bounds: vec![(0, [None, Some(51.6)])], mean: 0.25, n: 30 },
            Leaf {
                bounds: vec![(1, [Some(-0.5), Some(0.5)]), (0, [Some(51.6), None])],
                mean: 0.5,
                n: 60,
            },
        ];
        let rules = rules("P(halved by 13 weeks)", &inputs, &leaves);
        let text: Vec<&str> = rules.iter().flat_map(|rule| [&*rule.en, &*rule.zh]).collect();
        expect![[r"
            Of products with age below 52 weeks, the model says 25.0 % for `P(halved by 13 weeks)` on average (30 of 90).
            对于上市时长低于52周的产品，模型对“13周内减半的概率”的预测平均为25.0 %（90个中的30个）。
            Of products with growth (units of the last 13 weeks over the 13 before) from × 0.61 to below × 1.65, age of 52 weeks or more, the model says 50.0 % for `P(halved by 13 weeks)` on average (60 of 90).
            对于最近13周销量与之前13周之比不低于0.61倍且低于1.65倍、上市时长不低于52周的产品，模型对“13周内减半的概率”的预测平均为50.0 %（90个中的60个）。"]]
        .assert_eq(&text.join("\n"));
        let leaf = Leaf { bounds: Vec::new(), mean: 212.25, n: 9 };
        let only = super::rules("units, periods 1 to 13", &inputs, &[leaf]);
        let told =
            "Of any product, the model says 212 for `units, periods 1 to 13` on average (9 of 9).";
        assert_eq!(only[0].en, told);
    }
}
