//! A malformed message is refused by the name of its field, as its sender writes it.

use std::collections::BTreeMap;
use std::time::SystemTime;

use lifecycle::{
    Digest, Forecast, Frequency, LEVELS, N_LEVELS, Outlook, Period, Series, StageProbabilities,
    UnitsForecast,
};
use wire::{HistoryQuery, PlanQuery, Run, ServedForecast, Start, v1};

/// A well formed request, then one field broken: the error names it.
fn check_history(broken: impl FnOnce(&mut v1::History), field: &str) {
    let mut history = v1::History {
        series: Some(v1::Series { product_id: "a".to_owned(), location_id: String::new() }),
        frequency: v1::Frequency::Week.into(),
        units: vec![1.0, f32::NAN, 3.0],
        price: vec![2.0; 3],
        ..Default::default()
    };
    let request = |history| v1::ForecastHistoryRequest {
        model: Digest::of("model").to_string(),
        histories: vec![history],
    };
    HistoryQuery::try_from(request(history.clone())).expect("well formed");
    broken(&mut history);
    let error = HistoryQuery::try_from(request(history)).expect_err("broken");
    assert_eq!(error.field, format!("histories[0].{field}"));
}

#[test]
fn a_malformed_history_names_the_field() {
    check_history(|history| history.units.clear(), "units");
    check_history(|history| history.units = vec![0.0; 5000], "units");
    check_history(|history| history.units[2] = -1.0, "units[2]");
    check_history(|history| history.price[1] = f32::INFINITY, "price[1]");
    check_history(|history| history.promotion = vec![0.0; 2], "promotion");
    check_history(|history| history.in_stock = vec![0.0, 1.5, 0.0], "in_stock[1]");
    check_history(|history| history.planned_promotion = vec![2.0], "planned_promotion[0]");
    check_history(|history| history.series = None, "series");
    check_history(|history| history.series = Some(v1::Series::default()), "series.product_id");
    check_history(|history| history.frequency = 0, "frequency");
    check_history(|history| history.frequency = 9, "frequency");
    check_history(|history| history.first_day = i32::MAX, "first_day");
    check_history(|history| history.end_day = Some(i32::MIN), "end_day");
    check_history(|history| history.category = vec!["a".to_owned(); 17], "category");
    check_history(|history| history.category = vec![String::new()], "category[0]");
    check_history(|history| history.units_per_one = f64::NAN, "units_per_one");
    check_history(|history| history.units_per_one = 1e-300, "units_per_one");
    check_history(|history| history.units_per_one = -0.5, "units_per_one");
    check_history(|history| history.units[0] = 1e30, "units[0]");
    check_history(|history| history.planned_price = vec![1.0, f32::MAX], "planned_price[1]");
    check_history(|history| history.title = "x".repeat(5000), "title");
}

fn check_forecast(broken: impl FnOnce(&mut v1::Forecast), field: &str) {
    let served = ServedForecast {
        forecast: Forecast {
            series: Series::of("a"),
            origin: Period(100),
            units: Some(UnitsForecast {
                means: vec![1.0],
                quantiles: vec![1.0; N_LEVELS],
                cumulative_quantiles: vec![1.0; N_LEVELS],
            }),
            stage_now: Some(StageProbabilities::from_weights([1.0; 5])),
            outlooks: [Outlook { turns: Some([0.1; 3]), stage: None }; 3],
            cold_start: false,
            far_from_training: false,
        },
        frequency: Frequency::Week,
        model: Digest::of("model"),
        features: None,
        inputs: Digest::of("inputs"),
    };
    let mut message = v1::Forecast::from(served);
    broken(&mut message);
    assert_eq!(ServedForecast::try_from(message).expect_err("broken").field, field);
}

#[test]
fn a_malformed_forecast_names_the_field() {
    fn units(message: &mut v1::Forecast) -> &mut v1::UnitsForecast {
        message.units.as_mut().expect("units")
    }
    check_forecast(|message| units(message).levels[3] = 0.5, "units.levels");
    check_forecast(|message| units(message).quantiles[0] = 2.0, "units.quantiles");
    check_forecast(|message| units(message).means[0] = f32::NAN, "units.means");
    check_forecast(
        |message| message.stage_now = Some(v1::StageProbabilities::default()),
        "stage_now",
    );
    check_forecast(|message| message.outlooks.truncate(2), "outlooks");
    check_forecast(|message| message.outlooks[1].weeks = 5, "outlooks");
    let doubled = |message: &mut v1::Forecast| {
        message.outlooks[2].turns = Some(v1::Turns { doubled: 1.5, ..Default::default() });
    };
    check_forecast(doubled, "outlooks[2].turns.doubled");
    check_forecast(|message| message.inputs_digest.clear(), "inputs_digest");
    check_forecast(|message| message.features_digest.push('a'), "features_digest");
    assert_eq!(LEVELS.len(), N_LEVELS);
}

#[test]
fn a_malformed_request_names_the_field() {
    let start = |change: fn(&mut v1::StartFeaturesRequest)| {
        let digest = Digest::of("dataset").to_string();
        let mut message = v1::StartFeaturesRequest {
            request_id: "a".to_owned(),
            config_toml: String::new(),
            inputs: BTreeMap::from([("dataset".to_owned(), digest)]),
        };
        change(&mut message);
        Start::try_from(message).map_err(|invalid| invalid.field)
    };
    let accepted = start(|_| ()).expect("well formed");
    assert_eq!(accepted.input("dataset"), Ok(Digest::of("dataset")));
    assert_eq!(accepted.input("model").expect_err("absent").field, "inputs[model]");
    let refused = |change, field: &str| assert_eq!(start(change), Err(field.to_owned()));
    refused(|message| message.request_id.clear(), "request_id");
    refused(|message| message.request_id = "a b".to_owned(), "request_id");
    refused(|message| message.config_toml = " ".repeat(300_000), "config_toml");
    refused(
        |message| {
            message.inputs.insert("model".to_owned(), "short".to_owned());
        },
        "inputs[model]",
    );

    let item = v1::PlanItem {
        series: Some(v1::Series { product_id: "a".to_owned(), location_id: String::new() }),
        review: 1,
        shortage_cost: 1.0,
        ..Default::default()
    };
    let refused = |items: Vec<v1::PlanItem>, field: &str| {
        let digest = Digest::of("any").to_string();
        let (model, features) = (digest.clone(), digest);
        let request = v1::PlanRequest { model, features, origin_day: None, items };
        assert_eq!(PlanQuery::try_from(request).expect_err("broken").field, field);
    };
    refused(vec![], "items");
    refused(vec![item.clone(), item.clone()], "items[1]");
    refused(vec![v1::PlanItem { review: 0, ..item.clone() }], "items[0].review");
    refused(vec![v1::PlanItem { stock: f64::NAN, ..item.clone() }], "items[0].stock");
    refused(vec![v1::PlanItem { stock: 1e13, ..item.clone() }], "items[0].stock");
    refused(vec![v1::PlanItem { lot_size: 1e-300, ..item.clone() }], "items[0].lot_size");
    refused(vec![v1::PlanItem { leftover_cost: 1e308, ..item.clone() }], "items[0].leftover_cost");
    refused(vec![v1::PlanItem { shortage_cost: 0.0, ..item }], "items[0].shortage_cost");
}

#[test]
fn an_input_that_a_stage_does_not_read_is_refused() {
    let check = |name: &str| {
        let optional = ["truth", "forecasts/"];
        wire::check_input(name, &["features"], &optional).map_err(|invalid| invalid.to_string())
    };
    for known in ["features", "truth", "forecasts/lifecast", "forecasts/a.b_c-1"] {
        assert_eq!(check(known), Ok(()));
    }
    let unknown = "inputs[junk]: is unknown; known: `features`, `truth`, `forecasts/NAME`";
    assert_eq!(check("junk"), Err(unknown.to_owned()));
    assert!(check("truths").is_err() && check("forecasts").is_err());
    for name in [String::new(), "a b".to_owned(), "../a".to_owned(), "a".repeat(65)] {
        let error = check(&format!("forecasts/{name}")).expect_err("no name of a model");
        assert!(error.starts_with(&format!("inputs[forecasts/{name}]: ")), "{error}");
    }
    let start = Start {
        inputs: BTreeMap::from(["dataset", "junk"].map(|name| (name.to_owned(), Digest::of(name)))),
        ..Start::default()
    };
    let refused = |needed: &[&str]| start.check_inputs(needed, &[]).expect_err("refused").field;
    assert_eq!(refused(&["model"]), "inputs[model]");
    assert_eq!(refused(&["dataset"]), "inputs[junk]");
}

#[test]
fn a_run_without_its_outcome_is_malformed() {
    let run = v1::Run {
        id: "a".to_owned(),
        stage: "train".to_owned(),
        state: v1::RunState::Succeeded.into(),
        accepted_at: Some(SystemTime::UNIX_EPOCH.into()),
        ..Default::default()
    };
    assert_eq!(Run::try_from(Some(run)).expect_err("no outcome").field, "run.outcome");
    assert_eq!(Run::try_from(None).expect_err("no run").field, "run");
}
