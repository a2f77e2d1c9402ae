//! `lifecast get counterfactuals`: what change would turn a product's forecast, within bounds.

use std::fmt::Write;

use anyhow::Context;
use serde_json::{Value, json};
use wire::v1::explainer_client::ExplainerClient;
use wire::{ChangeableInput, Counterfactual, Counterfactuals, CounterfactualsQuery, v1};

use super::Asked;
use crate::failure::Failure;
use crate::runner::LastRun;

/// How far inputs may be changed.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct BoundsFlags {
    /// Least and greatest price, as multiples of the recent one; without it, .7 and 1.3
    #[arg(long, num_args = 2, value_names = ["LOW", "HIGH"])]
    price: Vec<f64>,
    /// Least and greatest share under promotion; without it, 0 and 1
    #[arg(long, num_args = 2, value_names = ["LOW", "HIGH"])]
    promotion: Vec<f64>,
    /// Least and greatest share in stock; without it, 0 and 1
    #[arg(long, num_args = 2, value_names = ["LOW", "HIGH"])]
    in_stock: Vec<f64>,
    /// By what share sales are to rise, and to fall; without it, .1
    #[arg(long)]
    sales_change: Option<f64>,
}

/// Asks, and answers as text and as JSON.
pub(super) async fn counterfactuals(
    of: &Asked,
    flags: &BoundsFlags,
) -> Result<(String, Value), Failure> {
    let remote = of.remote("explain", "explainer")?;
    let LastRun { model, features } = of.artifacts()?;
    let mut client = ExplainerClient::new(remote.channel());
    let bounds = |values: &[f64]| <[f64; 2]>::try_from(values).ok();
    let (mut texts, mut values) = (Vec::new(), Vec::new());
    for series in of.series() {
        let query = CounterfactualsQuery {
            model,
            features,
            series,
            origin: of.origin,
            price: bounds(&flags.price),
            promotion: bounds(&flags.promotion),
            in_stock: bounds(&flags.in_stock),
            sales_change: flags.sales_change,
        };
        let request = v1::ExplainCounterfactualsRequest::from(query);
        let answer = client.explain_counterfactuals(request).await;
        let answer = answer.map_err(|status| remote.refused(&status))?.into_inner();
        let found = answer.counterfactuals.map(Counterfactuals::try_from).transpose();
        let found = found.map_err(|invalid| remote.malformed(&invalid))?;
        let found = found.context("no counterfactuals").map_err(Failure::internal)?;
        texts.push(text(&found));
        values.push(value(&found));
    }
    Ok((texts.join("\n"), values.into()))
}

fn text(found: &Counterfactuals) -> String {
    let mut text = format!("{} from {}\n", found.series, found.frequency.last_day(found.origin));
    for input in &found.inputs {
        let ChangeableInput { name, is_planned, usual, bounds: [low, high], is_read } = input;
        let when = if *is_planned { "planned" } else { "retrospective" };
        let read = if *is_read { "" } else { ", not read by this model" };
        let _ = writeln!(text, "{name:>26} {usual:.3}, within {low} to {high} ({when}{read})");
    }
    for told in &found.counterfactuals {
        let _ = writeln!(text, "{}: {}", told.target, told.en);
    }
    let _ = writeln!(text, "from {} evaluations", found.n_evaluations);
    text
}

fn value(found: &Counterfactuals) -> Value {
    let input = |input: &ChangeableInput| {
        json!({
            "name": input.name,
            "is_planned": input.is_planned,
            "usual": input.usual,
            "bounds": input.bounds,
            "is_read": input.is_read,
        })
    };
    let told = |told: &Counterfactual| {
        json!({
            "target": told.target,
            "is_reached": told.is_reached,
            "changes": told.changes.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
            "distance": told.distance,
            "was": told.was,
            "becomes": told.becomes,
            "output": told.output,
            "output_before": told.output_before,
            "output_after": told.output_after,
            "after": told.after,
            "en": told.en,
            "zh": told.zh,
        })
    };
    json!({
        "series": found.series,
        "origin": found.frequency.last_day(found.origin).to_string(),
        "inputs": found.inputs.iter().map(input).collect::<Vec<_>>(),
        "outputs": found.outputs,
        "before": found.before,
        "counterfactuals": found.counterfactuals.iter().map(told).collect::<Vec<_>>(),
        "n_evaluations": found.n_evaluations,
        "model": found.model,
        "features": found.features,
        "inputs_digest": found.inputs_digest,
    })
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use lifecycle::{Digest, Frequency, Period, Series};

    use super::*;

    #[test]
    fn what_may_be_changed_and_what_is_not_read_stand_before_the_sentences() {
        let input = |name: &str, is_planned| ChangeableInput {
            name: name.to_owned(),
            is_planned,
            usual: 1.0,
            bounds: [0.7, 1.3],
            is_read: !is_planned,
        };
        let found = Counterfactuals {
            series: Series::of("mug"),
            frequency: Frequency::Week,
            origin: Period(2800),
            inputs: vec![input("planned price", true), input("price, last 13 weeks", false)],
            outputs: Vec::new(),
            before: Vec::new(),
            counterfactuals: vec![Counterfactual {
                target: "more sales".to_owned(),
                is_reached: false,
                changes: vec![("price, last 13 weeks".to_owned(), 0.7)],
                distance: 0.5,
                was: "units".to_owned(),
                becomes: "units".to_owned(),
                output: "units, periods 1 to 13".to_owned(),
                output_before: 100.0,
                output_after: 104.0,
                after: Vec::new(),
                en: "None within bounds.".to_owned(),
                zh: String::new(),
            }],
            n_evaluations: 7,
            model: Digest::of("model"),
            features: Digest::of("features"),
            inputs_digest: Digest::of("inputs"),
        };
        let text = text(&found);
        let (first, rest) = text.split_once('\n').expect("lines");
        assert!(first.starts_with("mug from "), "{first}");
        expect![[r"
                         planned price 1.000, within 0.7 to 1.3 (planned, not read by this model)
                  price, last 13 weeks 1.000, within 0.7 to 1.3 (retrospective)
            more sales: None within bounds.
            from 7 evaluations
        "]]
        .assert_eq(rest);
        let value = value(&found);
        assert_eq!(value["counterfactuals"][0]["changes"]["price, last 13 weeks"], 0.7);
        assert_eq!(value["inputs"][0]["is_read"], false);
    }
}
