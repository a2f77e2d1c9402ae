//! Laws of the mapping: a value that goes over the wire comes back as it was, bytes included, and
//! a malformed message is refused by the name of its field.

use std::fmt::Debug;
use std::time::{Duration, SystemTime};

use lifecycle::{
    Attribution, Day, Digest, ErrorKind, EstimateEnd, Forecast, Frequency, InteractionSource,
    Invalid, LocationId, N_LEVELS, Outlook, Period, ProductId, Score, Series, StageProbabilities,
    UnitsForecast,
};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use prost::Message;
use wire::{
    ChangeableInput, Counterfactual, Counterfactuals, CounterfactualsQuery, ExplainQuery,
    ExplainedOutput, Explanation, Failure, ForecastQuery, HistoryQuery, InlineHistory, InputsQuery,
    Outcome, PartProgress, Plan, PlanItem, PlanQuery, Run, RunState, ServedForecast, ServedInputs,
    Start, StartIngest, v1,
};

/// Domain -> message -> bytes -> message -> domain. Compared as text, since NaN equals nothing.
fn check<T, M>(value: T)
where
    T: Debug + TryFrom<M, Error = Invalid>,
    M: From<T> + Message + Default,
{
    let text = format!("{value:?}");
    let bytes = M::from(value).encode_to_vec();
    let back = T::try_from(M::decode(bytes.as_slice()).expect("own bytes")).expect("well formed");
    assert_eq!(format!("{back:?}"), text);
}

fn digest() -> impl Strategy<Value = Digest> {
    any::<u64>().prop_map(|seed| Digest::of(seed.to_le_bytes()))
}

fn name() -> impl Strategy<Value = String> {
    "[a-zA-Zäß0-9 /-]{1,20}"
}

fn series() -> impl Strategy<Value = Series> {
    (name(), option::of(name())).prop_map(|(product, location)| Series {
        product: ProductId::from(product),
        location: location.map(LocationId::from),
    })
}

fn frequency() -> impl Strategy<Value = Frequency> {
    prop_oneof![Just(Frequency::Day), Just(Frequency::Week), Just(Frequency::Month)]
}

/// A frequency and a period of it between 1950 and 2150.
fn period() -> impl Strategy<Value = (Frequency, Period)> {
    (frequency(), -7_000..65_000_i32)
        .prop_map(|(frequency, day)| (frequency, frequency.period_of(Day(day))))
}

fn origin() -> impl Strategy<Value = Option<Day>> {
    option::of((-7_000..65_000).prop_map(Day))
}

fn stages() -> impl Strategy<Value = StageProbabilities> {
    [0.0..10.0_f64, 0.0..10.0, 0.0..10.0, 0.0..10.0, 0.0..10.0]
        .prop_map(StageProbabilities::from_weights)
}

fn outlook() -> impl Strategy<Value = Outlook> {
    let turns = option::of([0.0..=1.0_f32, 0.0..=1.0, 0.0..=1.0]);
    (turns, option::of(stages())).prop_map(|(turns, stage)| Outlook { turns, stage })
}

/// Rows of ascending quantiles.
fn quantiles(horizon: usize) -> impl Strategy<Value = Vec<f32>> {
    let row = vec(0.0..1e6_f32, N_LEVELS).prop_map(|mut row| {
        row.sort_by(f32::total_cmp);
        row
    });
    prop_oneof![Just(Vec::new()), vec(row, horizon).prop_map(|rows| rows.concat())]
}

fn units() -> impl Strategy<Value = UnitsForecast> {
    (1..6_usize)
        .prop_flat_map(|horizon| {
            (vec(0.0..1e6_f32, horizon), quantiles(horizon), quantiles(horizon))
        })
        .prop_map(|(means, quantiles, cumulative_quantiles)| UnitsForecast {
            means,
            quantiles,
            cumulative_quantiles,
        })
}

fn forecast() -> impl Strategy<Value = ServedForecast> {
    let parts = (series(), period(), option::of(units()), option::of(stages()));
    let outlooks = [outlook(), outlook(), outlook()];
    let digests = (digest(), option::of(digest()), digest());
    (parts, outlooks, any::<[bool; 2]>(), digests).prop_map(
        |(parts, outlooks, [cold_start, far_from_training], (model, features, inputs))| {
            let (series, (frequency, origin), units, stage_now) = parts;
            let forecast = Forecast {
                series,
                origin,
                units,
                stage_now,
                outlooks,
                cold_start,
                far_from_training,
            };
            ServedForecast { forecast, frequency, model, features, inputs }
        },
    )
}

/// Known and missing values.
fn channel(n_periods: usize, most: f32) -> impl Strategy<Value = Vec<f32>> {
    let value = prop_oneof![4 => 0.0..=most, 1 => Just(f32::NAN)];
    prop_oneof![Just(Vec::new()), vec(value, n_periods)]
}

fn history() -> impl Strategy<Value = InlineHistory> {
    let channels = (1..8_usize).prop_flat_map(|n| {
        let share = || channel(n, 1.0);
        let amount = || channel(n, 1e6);
        let counts = (amount(), amount(), amount(), amount());
        (vec(0.0..1e6_f32, n), (share(), amount(), share()), counts)
    });
    let planned =
        (0..5_usize, 0..5_usize).prop_flat_map(|(n, m)| (channel(n, 1e6), channel(m, 1.0)));
    let statics = (vec(name(), 0..4), option::of(name()), option::of(name()));
    let ends = (option::of(0..60_i32), option::of(0..60_i32), 0.001..1000.0_f64);
    (series(), period(), channels, planned, statics, ends).prop_map(
        |(series, (frequency, start), channels, planned, (category, brand, title), ends)| {
            let (units, (in_stock, price, promotion), (orders, returns, views, carts)) = channels;
            let (launch, end, units_per_one) = ends;
            InlineHistory {
                series,
                frequency,
                start,
                units,
                in_stock,
                price,
                promotion,
                orders,
                returns,
                views,
                carts,
                planned_price: planned.0,
                planned_promotion: planned.1,
                category,
                brand,
                title,
                launch: launch.map(|n| start.plus(-n)),
                end: end.map(|n| start.plus(n)),
                units_per_one,
            }
        },
    )
}

fn start() -> impl Strategy<Value = Start> {
    let inputs = btree_map("[a-z][a-z-]{0,8}", digest(), 0..4);
    ("[a-zA-Z0-9._:-]{1,30}", "[ -~\n]{0,60}", inputs)
        .prop_map(|(request_id, config_toml, inputs)| Start { request_id, config_toml, inputs })
}

fn explain_query() -> impl Strategy<Value = ExplainQuery> {
    let numbers = (option::of(1..65_536_u32), option::of(0.01..1.0_f64), option::of(1..33_u32));
    let names = (btree_set(name(), 0..3), option::of(name()), option::of(name()));
    let background = (option::of(name()), any::<bool>());
    let numbers = (numbers, background);
    (digest(), digest(), series(), origin(), numbers, names).prop_map(
        |(model, features, series, origin, numbers, (split, drill_down, method))| {
            let ((evaluations_max, tolerance, n_background), (background, conditional)) = numbers;
            ExplainQuery {
                origin,
                outputs: vec!["halved 13".to_owned()],
                evaluations_max,
                seed: 7,
                tolerance,
                n_background,
                background,
                conditional,
                split: split.into_iter().collect(),
                drill_down,
                method,
                ..ExplainQuery::new(model, features, series)
            }
        },
    )
}

fn estimate_end() -> impl Strategy<Value = EstimateEnd> {
    use EstimateEnd::{Budget, Complete, Deadline, Open, Tolerance};
    proptest::sample::select(vec![Open, Complete, Tolerance, Budget, Deadline])
}

fn interaction_source() -> impl Strategy<Value = InteractionSource> {
    use InteractionSource::{Exact, Owen, Regression, TooFew};
    proptest::sample::select(vec![Exact, Regression, TooFew, Owen])
}

fn explanation() -> impl Strategy<Value = Explanation> {
    let output = |n: usize| {
        let errors = vec(0.0..10.0_f64, n);
        let n_twos = n * n.saturating_sub(1) / 2;
        let interactions =
            (prop_oneof![Just(0), Just(n_twos)], 0.0..1.0_f64).prop_flat_map(|(n, untold)| {
                (vec(-1e6..1e6_f64, n), vec(0.0..10.0_f64, n), Just(untold))
            });
        let numbers = (-1e6..1e6_f64, -1e6..1e6_f64);
        (name(), numbers, vec(-1e6..1e6_f64, n), errors, interactions).prop_map(
            |(output, (base_value, served), values, standard_errors, interactions)| {
                let (interactions, interaction_standard_errors, interactions_untold) = interactions;
                ExplainedOutput {
                    output,
                    attribution: Attribution { base_value, values, standard_errors },
                    served,
                    interactions,
                    interaction_standard_errors,
                    interactions_untold,
                }
            },
        )
    };
    let split = (0..5_usize).prop_flat_map(move |n| (vec(name(), n), vec(output(n), 0..3)));
    let digests = (digest(), option::of(digest()), digest(), digest());
    let spent = (any::<u32>(), 0.0..9.0_f64, estimate_end(), 1.0..4.0_f64, interaction_source());
    (series(), period(), split, digests, spent, explain_query()).prop_map(
        |(series, (frequency, origin), (players, outputs), digests, spent, replay)| {
            let (model, features, inputs, background) = digests;
            let (n_evaluations, relative_error, end, quantile, interaction_source) = spent;
            Explanation {
                series,
                frequency,
                origin,
                players,
                outputs,
                model,
                features,
                inputs,
                n_evaluations,
                relative_error,
                end,
                quantile,
                background,
                replay,
                interaction_source,
            }
        },
    )
}

fn counterfactuals_query() -> impl Strategy<Value = CounterfactualsQuery> {
    let bounds = || option::of((0.0..1.0_f64, 1.0..9.0_f64).prop_map(|(low, high)| [low, high]));
    let bounds = (bounds(), bounds(), bounds());
    (digest(), digest(), series(), origin(), bounds, option::of(0.001..0.9_f64)).prop_map(
        |(model, features, series, origin, (price, promotion, in_stock), sales_change)| {
            CounterfactualsQuery {
                model,
                features,
                series,
                origin,
                price,
                promotion,
                in_stock,
                sales_change,
            }
        },
    )
}

fn counterfactuals() -> impl Strategy<Value = Counterfactuals> {
    let input = (name(), any::<bool>(), 0.0..9.0_f64, any::<bool>()).prop_map(
        |(name, is_planned, usual, is_read)| ChangeableInput {
            name,
            is_planned,
            usual,
            bounds: [0.5, 1.5],
            is_read,
        },
    );
    let told = |n| {
        let names = (name(), name(), name(), name());
        let changes = vec((name(), 0.0..9.0_f64), 0..3);
        let numbers = (0.0..9.0_f64, -1e6..1e6_f64, -1e6..1e6_f64, vec(-1e6..1e6_f64, n));
        (names, any::<bool>(), changes, numbers, (name(), name())).prop_map(
            |((target, was, becomes, output), is_reached, changes, numbers, (en, zh))| {
                let (distance, output_before, output_after, after) = numbers;
                Counterfactual {
                    target,
                    is_reached,
                    changes,
                    distance,
                    was,
                    becomes,
                    output,
                    output_before,
                    output_after,
                    after,
                    en,
                    zh,
                }
            },
        )
    };
    let outputs = (0..5_usize)
        .prop_flat_map(move |n| (vec(name(), n), vec(-1e6..1e6_f64, n), vec(told(n), 0..3)));
    let digests = (digest(), digest(), digest());
    (series(), period(), vec(input, 0..3), outputs, digests, any::<u32>()).prop_map(
        |(series, (frequency, origin), inputs, outputs, digests, n_evaluations)| {
            let (outputs, before, counterfactuals) = outputs;
            let (model, features, inputs_digest) = digests;
            Counterfactuals {
                series,
                frequency,
                origin,
                inputs,
                outputs,
                before,
                counterfactuals,
                n_evaluations,
                model,
                features,
                inputs_digest,
            }
        },
    )
}

fn plan_item() -> impl Strategy<Value = PlanItem> {
    (series(), 0..100_u32, 1..100_u32, [0.001..10.0_f64, 0.0..10.0, 0.0..10.0, 0.001..10.0])
        .prop_map(|(series, lead_time, review, amounts)| {
            let [shortage_cost, leftover_cost, stock, lot_size] = amounts;
            PlanItem { series, lead_time, review, shortage_cost, leftover_cost, stock, lot_size }
        })
}

fn plan() -> impl Strategy<Value = Plan> {
    let amounts = proptest::array::uniform7(0.0..1e6_f64);
    (series(), period(), 1..100_u32, amounts, name(), name()).prop_map(
        |(series, (frequency, origin), covered_periods, amounts, action, reason)| {
            let [level, expected_units, order_up_to, stock, order, shortage, leftover] = amounts;
            Plan {
                series,
                frequency,
                origin,
                covered_periods,
                service_level: level,
                expected_units,
                order_up_to,
                stock,
                order,
                expected_shortage: shortage,
                expected_leftover: leftover,
                action,
                reason,
            }
        },
    )
}

fn run() -> impl Strategy<Value = Run> {
    let kind = prop_oneof![
        Just(ErrorKind::Usage),
        Just(ErrorKind::Data),
        Just(ErrorKind::Unreachable),
        Just(ErrorKind::Internal)
    ];
    let failure = (kind, name()).prop_map(|(kind, message)| Failure { kind, message }).boxed();
    let outcome = (digest(), digest(), any::<bool>(), name()).prop_map(
        |(artifact, key, cached, summary_json)| Outcome { artifact, key, cached, summary_json },
    );
    let state = prop_oneof![
        Just(RunState::Queued),
        Just(RunState::Running),
        outcome.prop_map(RunState::Succeeded),
        failure.clone().prop_map(RunState::Failed),
        failure.prop_map(RunState::Cancelled),
    ];
    let part = (name(), any::<u64>(), any::<u64>());
    let parts = vec(part.prop_map(|(part, done, total)| PartProgress { part, done, total }), 0..4);
    let time = || {
        (0..4_000_000_000_u64, 0..1_000_000_000_u32)
            .prop_map(|(s, ns)| SystemTime::UNIX_EPOCH + Duration::new(s, ns))
    };
    (name(), name(), name(), state, any::<u64>(), parts, time(), option::of(time())).prop_map(
        |(id, stage, request_id, state, sequence, parts, accepted_at, ended_at)| Run {
            id,
            stage,
            request_id,
            state,
            sequence,
            parts,
            accepted_at,
            ended_at,
        },
    )
}

fn score() -> impl Strategy<Value = Score> {
    let values = [-1e6..1e6_f64, -1e6..1e6, -1e6..1e6];
    (name(), name(), any::<u32>(), name(), values, any::<u64>(), any::<bool>()).prop_map(
        |(model, task, horizon, metric, [value, low, high], n, identifiable)| Score {
            model,
            task,
            horizon,
            metric,
            value,
            low,
            high,
            n,
            identifiable,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn forecasts_come_back(value in vec(forecast(), 0..3)) {
        check::<_, v1::PredictResponse>(value.clone());
        check::<_, v1::ForecastHistoryResponse>(value);
    }

    #[test]
    fn histories_come_back(history in history(), model in digest()) {
        check::<_, v1::GetInputsResponse>(ServedInputs { history: history.clone(), digest: model });
        check::<_, v1::ForecastHistoryRequest>(HistoryQuery { model, histories: vec![history] });
    }

    #[test]
    fn queries_come_back(
        series in series(),
        digests in (digest(), digest()),
        origin in origin(),
        explained in explain_query(),
        turned in counterfactuals_query(),
        items in btree_map(0..1_u8, plan_item(), 1),
    ) {
        let (model, features) = digests;
        check::<_, v1::PredictRequest>(ForecastQuery {
            model, features, series: vec![series.clone()], origin,
        });
        check::<_, v1::GetInputsRequest>(InputsQuery { features, series, origin });
        check::<_, v1::ExplainRequest>(explained);
        check::<_, v1::ExplainCounterfactualsRequest>(turned);
        check::<_, v1::PlanRequest>(PlanQuery {
            model, features, origin, items: items.into_values().collect(),
        });
    }

    #[test]
    fn answers_come_back(
        explanation in explanation(),
        counterfactuals in counterfactuals(),
        plan in plan(),
        scores in vec(score(), 0..3),
        run in run(),
    ) {
        check::<_, v1::Explanation>(explanation);
        check::<_, v1::Counterfactuals>(counterfactuals);
        check::<_, v1::Plan>(plan);
        check::<_, v1::ListScoresResponse>(scores);
        check::<_, v1::Run>(run);
    }

    #[test]
    fn starts_come_back(start in start(), uri in name(), toml in option::of(name())) {
        check::<_, v1::StartFeaturesRequest>(start.clone());
        check::<_, v1::StartTrainingRequest>(start.clone());
        check::<_, v1::StartPredictionRequest>(start.clone());
        check::<_, v1::StartExplanationRequest>(start.clone());
        check::<_, v1::StartEvaluationRequest>(start.clone());
        check::<_, v1::StartPlanningRequest>(start.clone());
        check::<_, v1::StartIngestRequest>(StartIngest { start, mapping_uri: uri, mapping_toml: toml });
    }

    /// Whatever numbers a client sends, the answer is a value or a named field, never a panic.
    #[test]
    fn days_and_enums_never_panic(frequency in any::<i32>(), day in any::<i32>(), end in any::<i32>()) {
        for frequency in [frequency, frequency.rem_euclid(5)] {
            let message = v1::History {
                series: Some(v1::Series { product_id: "a".to_owned(), ..Default::default() }),
                frequency,
                first_day: day,
                units: vec![1.0],
                launch_day: Some(end),
                ..Default::default()
            };
            if let Ok(history) = InlineHistory::try_from(message) {
                prop_assert!(history.origin() >= history.start);
            }
        }
    }
}
