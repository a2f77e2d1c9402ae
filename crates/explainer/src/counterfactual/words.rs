//! A counterfactual in one sentence that a planner understands, in English and in Chinese: what
//! would have to change, planned ahead or looking back, and what the model would then answer.

use lifecycle::Series;

use super::Counterfactual;
use super::change::{Axis, Range};
use super::target::Target;
use crate::words::{fixed, round};

/// The sentence in English.
pub(super) fn english(
    series: &Series,
    ranges: &[Range],
    sales_change: f64,
    told: &Counterfactual,
) -> String {
    let becomes = &told.becomes;
    let (before, after) = (number(told, told.output_before), number(told, told.output_after));
    let goal = goal_in_english(told, sales_change);
    let moves = moves_in_english(ranges, told);
    if told.is_reached {
        return format!(
            "For {series} the model would answer {goal} ({becomes} {before} to {after}) with \
            {moves}; a statement about the model, not about causes."
        );
    }
    if ranges.is_empty() {
        return format!(
            "No price, promotion or stock of the last 13 weeks is known for {series}, so nothing \
            could be changed to make {goal}."
        );
    }
    if told.change.values.is_empty() {
        return format!(
            "None within bounds makes {goal} for {series}, and no change comes nearer to it."
        );
    }
    format!(
        "None within bounds makes {goal} for {series}; at best {becomes} goes from {before} to \
        {after} with {moves}."
    )
}

fn goal_in_english(told: &Counterfactual, sales_change: f64) -> String {
    let Counterfactual { target, is_reached, was, becomes, .. } = told;
    let leads = |other: &'static str| if *is_reached { becomes.as_str() } else { other };
    let change = points(sales_change);
    match target {
        Target::Turn => format!("{} likelier than {was} by 13 weeks", leads("another turn")),
        Target::StageNow => format!("{} likelier than {was} now", leads("another stage")),
        Target::StageAhead => format!("{} likelier than {was} in 13 weeks", leads("another stage")),
        Target::MoreSales => format!("sales {change} % higher"),
        Target::FewerSales => format!("sales {change} % lower"),
    }
}

fn moves_in_english(ranges: &[Range], told: &Counterfactual) -> String {
    let told = told.change.values.iter().map(|(axis, value)| {
        let usual = usual(ranges, *axis);
        match axis {
            Axis::PlannedPrice => format!("prices planned at {value} times the recent price"),
            Axis::PlannedPromotion => {
                format!("{} of the coming periods planned under promotion", percent(*value))
            }
            Axis::RecentPrice => {
                format!("prices of the last 13 weeks at {value} times what they were")
            }
            Axis::RecentPromotion => format!(
                "{} of the last 13 weeks under promotion in place of {}",
                percent(*value),
                percent(usual)
            ),
            Axis::RecentStock => format!(
                "{} of the last 13 weeks in stock in place of {}",
                percent(*value),
                percent(usual)
            ),
        }
    });
    told.collect::<Vec<_>>().join(" and ")
}

/// The sentence in Chinese.
pub(super) fn chinese(
    series: &Series,
    ranges: &[Range],
    sales_change: f64,
    told: &Counterfactual,
) -> String {
    let becomes = class_in_chinese(&told.becomes);
    let (before, after) = (number(told, told.output_before), number(told, told.output_after));
    let goal = goal_in_chinese(&series.to_string(), told, sales_change);
    let moves = moves_in_chinese(ranges, told);
    if told.is_reached {
        return format!(
            "若{moves}，则模型认为{goal}（{becomes}从{before}变为{after}）；\
            这是关于模型的陈述，而非因果关系。"
        );
    }
    if ranges.is_empty() {
        return format!(
            "没有{series}最近13周的价格、促销或库存数据，因此没有可以改变的输入来使模型认为{goal}。"
        );
    }
    if told.change.values.is_empty() {
        return format!(
            "在允许范围内，没有任何改变能使模型认为{goal}，也没有任何改变更接近这一目标。"
        );
    }
    format!(
        "在允许范围内，没有任何改变能使模型认为{goal}；最接近的是{moves}，\
        此时{becomes}从{before}变为{after}。"
    )
}

fn goal_in_chinese(series: &str, told: &Counterfactual, sales_change: f64) -> String {
    let was = class_in_chinese(&told.was);
    let leads = |verb: &str, other: &str| {
        let class = if told.is_reached { class_in_chinese(&told.becomes) } else { other };
        format!("{verb}{class}的可能性高于{was}")
    };
    let change = points(sales_change);
    match told.target {
        Target::Turn if told.is_reached => format!("{series}在13周内{}", leads("", "")),
        Target::Turn => format!("{series}在13周内{}", leads("出现", "其他转折")),
        Target::StageNow => format!("{series}目前{}", leads("处于", "其他阶段")),
        Target::StageAhead => format!("{series}在13周后{}", leads("处于", "其他阶段")),
        Target::MoreSales => format!("{series}的销量会提高{change}%"),
        Target::FewerSales => format!("{series}的销量会降低{change}%"),
    }
}

fn moves_in_chinese(ranges: &[Range], told: &Counterfactual) -> String {
    let told = told.change.values.iter().map(|(axis, value)| {
        let (value_percent, usual) = (percent(*value), percent(usual(ranges, *axis)));
        match axis {
            Axis::PlannedPrice => format!("计划价格为近期价格的{value}倍"),
            Axis::PlannedPromotion => format!("计划未来{value_percent}的时间做促销"),
            Axis::RecentPrice => format!("最近13周的价格为实际的{value}倍"),
            Axis::RecentPromotion => {
                format!("最近13周有{value_percent}的时间做促销（实际为{usual}）")
            }
            Axis::RecentStock => format!("最近13周有{value_percent}的时间有货（实际为{usual}）"),
        }
    });
    told.collect::<Vec<_>>().join("，且")
}

/// A class's name; what is unknown stays as it is.
fn class_in_chinese(class: &str) -> &str {
    match class {
        "units" => "销量",
        "halved" => "减半",
        "doubled" => "翻倍",
        "neither" => "无转折",
        "introduction" => "导入期",
        "growth" => "成长期",
        "maturity" => "成熟期",
        "decline" => "衰退期",
        "ended" => "停售",
        other => other,
    }
}

fn usual(ranges: &[Range], axis: Axis) -> f64 {
    ranges.iter().find(|range| range.axis == axis).map_or(0.0, |range| range.usual)
}

/// An output's value: percent of probabilities, units else.
fn number(told: &Counterfactual, value: f64) -> String {
    if told.becomes == "units" { round(value) } else { percent(value) }
}

/// A share as percent with at most one digit behind the point.
fn points(share: f64) -> f64 {
    (1000.0 * share).round() / 10.0
}

fn percent(share: f64) -> String {
    format!("{} %", fixed(100.0 * share, 1))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::counterfactual::Change;

    fn told(target: Target, is_reached: bool, values: &[(Axis, f64)]) -> Counterfactual {
        let is_stage = target == Target::StageNow;
        Counterfactual {
            target,
            is_reached,
            change: Change { values: values.to_vec() },
            distance: 0.0,
            was: if is_stage { "maturity" } else { "units" }.to_owned(),
            becomes: if is_stage { "decline" } else { "units" }.to_owned(),
            output: String::new(),
            output_before: if is_stage { 0.3 } else { 120.0 },
            output_after: if is_stage { 0.41 } else { 133.0 },
            after: Vec::new(),
            en: String::new(),
            zh: String::new(),
        }
    }

    #[test]
    fn a_sentence_says_what_is_planned_what_is_past_and_that_it_is_about_the_model() {
        let range = |axis| Range { axis, usual: 0.25, low: 0.0, high: 1.0, is_read: true };
        let ranges = Axis::ALL.map(range);
        let (planned, recent) = ((Axis::PlannedPrice, 0.9), (Axis::RecentStock, 0.5));
        let cases = [
            told(Target::StageNow, true, &[recent]),
            told(Target::MoreSales, true, &[planned, recent]),
            told(Target::StageNow, false, &[planned]),
            told(Target::FewerSales, false, &[]),
            Counterfactual { was: "neither".to_owned(), ..told(Target::Turn, false, &[]) },
        ];
        let mug = Series::of("mug");
        let both = |told: &Counterfactual, ranges: &[Range]| {
            [english(&mug, ranges, 0.1, told), chinese(&mug, ranges, 0.1, told)]
        };
        let mut text: Vec<String> = cases.iter().flat_map(|told| both(told, &ranges)).collect();
        text.extend(both(&cases[3], &[]));
        expect![[r"
            For mug the model would answer decline likelier than maturity now (decline 30.0 % to 41.0 %) with 50.0 % of the last 13 weeks in stock in place of 25.0 %; a statement about the model, not about causes.
            若最近13周有50.0 %的时间有货（实际为25.0 %），则模型认为mug目前处于衰退期的可能性高于成熟期（衰退期从30.0 %变为41.0 %）；这是关于模型的陈述，而非因果关系。
            For mug the model would answer sales 10 % higher (units 120 to 133) with prices planned at 0.9 times the recent price and 50.0 % of the last 13 weeks in stock in place of 25.0 %; a statement about the model, not about causes.
            若计划价格为近期价格的0.9倍，且最近13周有50.0 %的时间有货（实际为25.0 %），则模型认为mug的销量会提高10%（销量从120变为133）；这是关于模型的陈述，而非因果关系。
            None within bounds makes another stage likelier than maturity now for mug; at best decline goes from 30.0 % to 41.0 % with prices planned at 0.9 times the recent price.
            在允许范围内，没有任何改变能使模型认为mug目前处于其他阶段的可能性高于成熟期；最接近的是计划价格为近期价格的0.9倍，此时衰退期从30.0 %变为41.0 %。
            None within bounds makes sales 10 % lower for mug, and no change comes nearer to it.
            在允许范围内，没有任何改变能使模型认为mug的销量会降低10%，也没有任何改变更接近这一目标。
            None within bounds makes another turn likelier than neither by 13 weeks for mug, and no change comes nearer to it.
            在允许范围内，没有任何改变能使模型认为mug在13周内出现其他转折的可能性高于无转折，也没有任何改变更接近这一目标。
            No price, promotion or stock of the last 13 weeks is known for mug, so nothing could be changed to make sales 10 % lower.
            没有mug最近13周的价格、促销或库存数据，因此没有可以改变的输入来使模型认为mug的销量会降低10%。"]]
        .assert_eq(&text.join("\n"));
    }

    #[test]
    fn every_class_is_known_in_chinese() {
        let stages = lifecycle::Stage::ALL.map(lifecycle::Stage::name);
        for class in stages.into_iter().chain(["units", "halved", "doubled", "neither"]) {
            assert_ne!(class_in_chinese(class), class);
        }
    }
}
