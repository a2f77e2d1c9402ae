//! A search over settings: logged, found again, and the same when it was killed on the way.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::shop::Shop;

const SEARCH: &str = r#"trials = 5
eta = 2
steps_min = 3
steps_max = 6
seed = 4

[space]
learning_rate = { log_uniform = [1e-4, 1e-2] }
batch = [8, 16]
losses.turns = { uniform = [0.5, 2.0] }
"#;

const TRAIN: &str = "size = \"tiny\"\nmicro_batch = 8\nrows_max = 200\nvalidation_rows_max = 60\n";

fn command(shop: &Shop, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lifecast"));
    command.args(arguments).arg("--work").arg(shop.path("work")).arg("--json");
    command.env("LIFECAST_STORE", shop.path("store")).stdin(Stdio::null());
    command
}

fn answer(mut command: Command) -> Value {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn path(shop: &Shop, file: &str) -> String {
    shop.path(file).to_str().unwrap().to_owned()
}

/// A shop with features, and the search of a model for them.
fn searched() -> (Shop, impl Fn(&Shop) -> Command) {
    let shop = Shop::new();
    shop.write("search.toml", SEARCH);
    shop.write("train.toml", TRAIN);
    shop.write("features.toml", "horizon = 4\ncontext = 26\n");
    let artifact = |answer: Value| answer["artifact"].as_str().unwrap().to_owned();
    let mapping = path(&shop, "mapping.toml");
    let dataset = artifact(answer(command(&shop, &["ingest", "--mapping", &mapping])));
    let (input, config) = (format!("dataset={dataset}"), path(&shop, "features.toml"));
    let features = ["features", &input, "--config", &config];
    let features = artifact(answer(command(&shop, &features)));
    let search = move |shop: &Shop| {
        let input = format!("features={features}");
        let (search, config) = (path(shop, "search.toml"), path(shop, "train.toml"));
        command(shop, &["train", &input, "--config", &config, "--search", &search])
    };
    (shop, search)
}

/// What is the same in every run of a search: all but where and how long.
fn outcome(found: &Value) -> (Value, Vec<(Value, Value, Value)>) {
    let trials = found["trials"].as_array().unwrap().iter();
    let trials = trials.map(|line| {
        assert!(line["validation"]["combined"].as_f64().unwrap() > 0.0, "{line}");
        (line["trial"].clone(), line["artifact"].clone(), line["settings"].clone())
    });
    (found["best"].clone(), trials.collect())
}

#[test]
fn a_killed_search_goes_on_to_the_same_settings_and_a_repeated_one_trains_nothing() {
    let (shop, search) = searched();
    let undisturbed = outcome(&answer(search(&shop)));
    assert_eq!(undisturbed.1.len(), 5 + 2);
    let best = undisturbed.0.as_str().unwrap();
    assert!(best.starts_with("steps_max = 6\n") && best.contains("losses.turns = "), "{best}");

    let (shop, search) = searched();
    let mut killed = search(&shop);
    let mut child = killed.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert_eq!(lines.filter(|line| line.contains("made")).take(2).count(), 2);
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success(), "it ended before it was killed");
    let found = answer(search(&shop));
    assert_eq!(outcome(&found), undisturbed);
    let cached = |found: &Value| {
        let trials = found["trials"].as_array().unwrap().iter();
        trials.map(|line| line["cached"].as_bool().unwrap()).collect::<Vec<_>>()
    };
    assert!(cached(&found).starts_with(&[true, true]) && cached(&found).contains(&false));

    let again = answer(search(&shop));
    assert_eq!(outcome(&again), undisturbed);
    assert!(cached(&again).iter().all(|cached| *cached));
    let log = fs::read_to_string(again["log"].as_str().unwrap()).unwrap();
    let logged: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let seconds = |line: &Value| line["seconds"].as_f64().unwrap();
    let trials = found["trials"].as_array().unwrap();
    assert_eq!(logged.len(), trials.len());
    assert!(logged.iter().zip(trials).all(|(line, trial)| seconds(line) == seconds(trial)));
}

#[test]
fn a_search_that_cannot_be_says_where_and_why() {
    let shop = Shop::new();
    let of = |text: &str| {
        shop.write("search.toml", text);
        let (search, input) = (path(&shop, "search.toml"), format!("features={}", "0".repeat(64)));
        let output = command(&shop, &["train", &input, "--search", &search]).output().unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
        String::from_utf8(output.stderr).unwrap()
    };
    let wrong = SEARCH.replace("learning_rate", "learing_rate");
    assert!(of(&wrong).contains("search.toml: is not a valid search: space.learing_rate: is no"));
    let wrong = SEARCH.replace("eta = 2", "eta = 1");
    assert!(of(&wrong).contains("search.toml: is not a valid search: eta: 1 must be 2 to 100"));
    let wrong = SEARCH.replace("eta", "etta");
    assert!(of(&wrong).contains("search.toml, line 2: is not a valid search: unknown field"));
}
