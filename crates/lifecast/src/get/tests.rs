//! What explanations look like, and what is said where there is none in time.

use lifecycle::{Attribution, Frequency, Period};
use tokio::net::TcpListener;
use wire::ExplainedOutput;

use super::*;

fn digest() -> Digest {
    Digest::of("artifact")
}

fn series() -> Series {
    Series { product: "mug".into(), location: None }
}

/// Three players, one of whom does next to nothing.
fn explained(interaction_source: InteractionSource) -> Explanation {
    let output = ExplainedOutput {
        output: "mean units".to_owned(),
        attribution: Attribution {
            base_value: 1.0,
            values: vec![2.0, -1e-6, 0.5],
            standard_errors: vec![0.1, 0.0, 0.0],
        },
        served: 3.5,
        interactions: vec![-4e-5, 0.25, 0.0],
        interaction_standard_errors: vec![0.1, 0.02, 0.0],
        interactions_untold: 0.081,
    };
    Explanation {
        series: series(),
        frequency: Frequency::Week,
        origin: Period(2900),
        players: ["sales", "price", "season"].map(str::to_owned).to_vec(),
        outputs: vec![output],
        model: digest(),
        features: Some(digest()),
        inputs: digest(),
        n_evaluations: 65,
        relative_error: 0.03,
        end: EstimateEnd::Tolerance,
        quantile: 2.5,
        background: digest(),
        replay: ExplainQuery::new(digest(), digest(), series()),
        interaction_source,
    }
}

#[test]
fn doubt_is_an_interval_and_what_rounds_to_nothing_is_not_told() {
    let text = explanation_text(&explained(InteractionSource::Regression));
    let has = |words: &str| text.lines().any(|line| line.trim() == words);
    assert!(has("sales    +2.0000 ± 0.2500"), "2.5 errors of .1: {text}");
    assert!(has("price    +0.0000"), "{text}");
    assert!(has("sales x season    +0.2500 ± 0.0500"), "{text}");
    assert!(!text.contains("sales x price") && !text.contains("-0.0000"), "{text}");
    assert!(has("untold by interactions      8.1 %"), "{text}");
    assert!(has("± is half the width of a 95 % interval"), "{text}");
    let text = explanation_text(&explained(InteractionSource::Exact));
    assert!(!text.contains("untold"), "nothing is: {text}");
}

#[tokio::test]
async fn who_gives_little_time_is_told_to_give_more() {
    // It takes connections, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", silent.local_addr().expect("an address"));
    let asked = Asked {
        products: vec!["mug".to_owned()],
        location: None,
        origin: None,
        model: Some(digest()),
        features: Some(digest()),
        work: PathBuf::new(),
        urls: UrlFlags { url: Some(url), ..UrlFlags::default() },
    };
    let effort = Effort { evaluations_max: 0, tolerance: None, time_ms: Some(20) };
    let failure = explanation(&asked, effort).await.expect_err("no answer");
    assert_eq!(failure.to_string(), "time over: raise `--time-ms` above 20");
    assert_eq!(failure.exit_code(), 4);
}

#[test]
fn a_timeout_that_nobody_asked_for_is_no_reason_to_ask_for_more() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let _inside = runtime.enter();
    let remote = Remote::new("http://127.0.0.1:1", &UrlFlags::default()).expect("an address");
    let told = |time_ms, status| {
        let effort = Effort { evaluations_max: 0, tolerance: None, time_ms };
        effort.refused(&remote, &status).to_string()
    };
    let late = || tonic::Status::deadline_exceeded("the time was over");
    assert!(told(Some(250), late()).starts_with("time over: raise `--time-ms`"));
    for told in [
        told(None, late()),
        told(Some(250), tonic::Status::unavailable("restarting")),
        // Longer than any server is waited for.
        told(Some(600_000), tonic::Status::cancelled("Timeout expired")),
    ] {
        assert!(told.contains("does not answer"), "{told}");
    }
}
