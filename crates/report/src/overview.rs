//! The page's top in plain words: where the products stand, and which need somebody to act.

use std::collections::{BTreeMap, BTreeSet};

use lifecycle::{Forecast, Series, Stage, Turn};
use tables::PlanRow;

use crate::numbers::{count, grouped, units};
use crate::view::{Overview, PlanGroup, PlanView, StageCount};

/// Plans shown for each action.
const SHOWN: usize = 12;

/// Actions in the order of the page, with their headings.
const ACTIONS: [(&str, &str); 4] = [
    ("delist", "Take off the shelf"),
    ("mark down", "Mark down"),
    ("order", "Order"),
    ("hold", "Leave as it is"),
];

/// What the latest forecasts say, counted one at a time.
#[derive(Debug, Default)]
pub(crate) struct Outlook {
    stages: [usize; 4],
    asleep: BTreeSet<Series>,
    n_doubling: usize,
    n_halving: usize,
    expected_units: f64,
}

impl Outlook {
    /// Adds the latest forecast of a series; asleep is what sold nothing in the last 13 weeks.
    pub(crate) fn add(&mut self, forecast: &Forecast, is_asleep: bool) {
        if is_asleep {
            self.asleep.insert(forecast.series.clone());
            return;
        }
        if let Some(stages) = forecast.stage_now {
            let likeliest = stages.likeliest();
            self.stages[likeliest.index().min(3)] += 1;
        }
        if let Some(turns) = forecast.outlooks[1].turns {
            self.n_doubling += usize::from(turns[Turn::Doubled.index()] > 0.5);
            self.n_halving += usize::from(turns[Turn::Halved.index()] > 0.5);
        }
        let means = forecast.units.iter().flat_map(|units| &units.means);
        self.expected_units += means.map(|mean| f64::from(*mean)).sum::<f64>();
    }

    /// The overview of all series.
    pub(crate) fn told(
        self,
        (things, n_all): (&'static str, usize),
        as_of: String,
        horizon: &str,
        plans: &[PlanRow],
    ) -> Overview {
        let n_staged: usize = self.stages.iter().sum();
        let stages = Stage::ALL.iter().zip(self.stages).map(|(stage, n)| StageCount {
            stage: stage.name(),
            n,
            percent: if n_staged > 0 { 100.0 * n as f64 / n_staged as f64 } else { 0.0 },
        });
        let stages: Vec<StageCount> = if n_staged > 0 { stages.collect() } else { Vec::new() };
        let mut sentences = self.decisions((things, n_all), plans);
        let n_order = plans.iter().filter(|plan| plan.order > 0.0).count();
        if n_order > 0 {
            let order: f64 = plans.iter().map(|plan| plan.order).sum();
            let start = if plans.iter().all(|plan| plan.stock == 0.0) {
                " No stock at hand is known: subtract yours from each order."
            } else {
                ""
            };
            sentences.push(format!(
                "To be ordered: {}, {} units in all.{start}",
                counted(n_order, things),
                grouped(order)
            ));
        }
        sentences.push(format!(
            "Over the next {horizon}, {} units are expected to be sold.",
            grouped(self.expected_units)
        ));
        if self.n_doubling + self.n_halving > 0 {
            sentences.push(format!(
                "Within 13 weeks, {} will more likely than not at least double their share of the \
                 category, and {} will lose at least half of it.",
                counted(self.n_doubling, things),
                count(self.n_halving)
            ));
        }
        Overview { as_of, n_all, things, n_asleep: self.asleep.len(), stages, sentences }
    }

    /// How many of those that still sell need somebody to decide, and what is over already.
    fn decisions(&self, (things, n_all): (&str, usize), plans: &[PlanRow]) -> Vec<String> {
        let with = |action: &'static str| plans.iter().filter(move |plan| plan.action == action);
        let is_asleep = |plan: &&PlanRow| self.asleep.contains(&plan.series);
        let n_selling = n_all - self.asleep.len().min(n_all);
        let n_delist = with("delist").filter(|plan| !is_asleep(plan)).count();
        let n_mark_down = with("mark down").filter(|plan| !is_asleep(plan)).count();
        let mut sentences = vec![match n_delist + n_mark_down {
            0 => format!(
                "None of {} that still sell has to be delisted or marked down now.",
                counted(n_selling, things)
            ),
            n => format!(
                "Decisions needed now: {} of {} that still sell, {} to take off the shelf, {} to \
                 mark down.",
                count(n),
                counted(n_selling, things),
                count(n_delist),
                count(n_mark_down)
            ),
        }];
        if !self.asleep.is_empty() {
            let n_over = with("delist").filter(is_asleep).count();
            sentences.push(format!(
                "Without a sale for 13 weeks: {}; nothing more is expected of {} of them.",
                counted(self.asleep.len(), things),
                count(n_over)
            ));
        }
        sentences
    }
}

/// Such as `1 product` or `12 products`.
fn counted(n: usize, things: &str) -> String {
    let things = if n == 1 && things == "products" { "product" } else { things };
    format!("{} {things}", count(n))
}

/// The plans by action, those that matter most first: where most is at stake.
pub(crate) fn plan_groups(
    plans: &[PlanRow],
    title_of: impl Fn(&PlanRow) -> String,
    places: &BTreeMap<String, usize>,
) -> Vec<PlanGroup> {
    let mut groups: BTreeMap<(usize, &str), Vec<&PlanRow>> = BTreeMap::new();
    for plan in plans {
        let place = ACTIONS.iter().position(|(action, _)| *action == plan.action);
        groups.entry((place.unwrap_or(ACTIONS.len()), &plan.action)).or_default().push(plan);
    }
    let group = |((place, action), mut plans): ((usize, &str), Vec<&PlanRow>)| {
        sort_by_stake(&mut plans);
        let view = |plan: &&PlanRow| {
            let series = plan.series.to_string();
            PlanView {
                title: title_of(plan),
                order: units(plan.order),
                expected: units(plan.expected_units),
                reason: plan.reason.clone(),
                place: places.get(&series).copied(),
                series,
            }
        };
        PlanGroup {
            action: action.to_owned(),
            heading: ACTIONS.get(place).map_or(action, |(_, heading)| heading).to_owned(),
            n: plans.len(),
            rows: plans.iter().take(SHOWN).map(view).collect(),
        }
    };
    groups.into_iter().map(group).collect()
}

/// Those with the most expected units first, then by series.
pub(crate) fn sort_by_stake(plans: &mut [&PlanRow]) {
    plans.sort_by(|a, b| {
        b.expected_units.total_cmp(&a.expected_units).then_with(|| a.series.cmp(&b.series))
    });
}

#[cfg(test)]
mod tests {
    use lifecycle::{Period, Series, StageProbabilities};

    use super::*;

    fn plan(series: &str, action: &str, expected_units: f64) -> PlanRow {
        PlanRow {
            series: Series::of(series),
            origin: Period(0),
            covered_periods: 3,
            service_level: 0.8,
            expected_units,
            order_up_to: 0.0,
            stock: 0.0,
            order: if action == "order" { expected_units } else { 0.0 },
            expected_shortage: 0.0,
            expected_leftover: 0.0,
            action: action.into(),
            reason: String::new(),
        }
    }

    #[test]
    fn the_top_counts_stages_and_decisions() {
        let forecast = |stage: Stage| {
            let mut weights = [0.1; 5];
            weights[stage.index()] = 1.0;
            Forecast {
                series: Series::of("mug"),
                origin: Period(0),
                units: None,
                stage_now: Some(StageProbabilities::from_weights(weights)),
                outlooks: [lifecycle::Outlook { turns: Some([0.1, 0.9, 0.0]), stage: None }; 3],
                cold_start: false,
                far_from_training: false,
            }
        };
        let mut outlook = Outlook::default();
        outlook.add(&forecast(Stage::Growth), false);
        outlook.add(&forecast(Stage::Decline), true);
        let plans = [plan("a", "delist", 1.0), plan("b", "order", 1234.0)];
        let told = outlook.told(("products", 2), "2026-01-04".into(), "13 weeks", &plans);
        assert_eq!((told.n_asleep, told.stages[1].n, told.stages[1].percent), (1, 1, 100.0));
        let text = told.sentences.join("\n");
        assert!(
            text.starts_with("Decisions needed now: 1 of 1 product that still sell, 1 to take off"),
            "{text}"
        );
        assert!(text.contains("Without a sale for 13 weeks: 1 product; nothing more"), "{text}");
        assert!(text.contains("To be ordered: 1 product, 1,234 units in all"), "{text}");
        assert!(text.contains("1 product will more likely than not at least double"), "{text}");
    }

    #[test]
    fn plans_stand_by_action_and_stake() {
        let plans = [plan("a", "order", 1.0), plan("b", "order", 9.0), plan("c", "delist", 0.1)];
        let places = BTreeMap::from([("b".to_owned(), 7)]);
        let groups = plan_groups(&plans, |_| String::new(), &places);
        let names: Vec<_> = groups.iter().map(|group| group.action.as_str()).collect();
        assert_eq!(names, ["delist", "order"]);
        let rows: Vec<_> =
            groups[1].rows.iter().map(|row| (row.series.as_str(), row.place)).collect();
        assert_eq!(rows, [("b", Some(7)), ("a", None)]);
    }
}
