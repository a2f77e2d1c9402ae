//! Ranks that are processes: one is killed or stopped in the middle of an all-reduce, and the
//! others notice.
//!
//! The test starts itself once more for each rank, with what the rank must know in the environment.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use collective::rendezvous::Assignment;
use collective::tcp::{Listener, connect};
use collective::{Collective, Error, Precision, Reduction};

use crate::groups::{clock, config, quick_limits};

/// Tells a child its rank.
const RANK: &str = "LIFECAST_TEST_RANK";
const N_RANKS: usize = 3;

/// The child: reads all addresses, then reduces until it cannot. A no-op by itself.
#[test]
fn child_reduces() {
    let Some(rank) = std::env::var_os(RANK) else { return };
    let rank = rank.to_str().unwrap().parse().unwrap();
    let listener = Listener::bind("127.0.0.1:0").unwrap();
    let mut out = std::io::stderr();
    writeln!(out, "{}", listener.address()).unwrap();
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    let addresses = line.split_whitespace().map(str::to_owned).collect();
    let assignment = Assignment { generation: 1, rank, addresses };
    let mut ranks = connect(listener, &assignment, &config(quick_limits(), None)).unwrap();
    let mut values = vec![1.0; 1_000_000];
    let error = loop {
        match ranks.all_reduce(&mut values, Reduction::Mean, Precision::Full) {
            Ok(()) => assert_eq!(values[999_999], 1.0),
            Err(error) => break error,
        }
        writeln!(out, "reduced").unwrap();
    };
    let what = match error {
        Error::Closed { .. } | Error::Frame { .. } => "closed",
        Error::Silent { .. } => "silent",
        _ => panic!("{error}"),
    };
    writeln!(out, "{what}").unwrap();
}

type Lines = std::io::Lines<BufReader<ChildStderr>>;

/// A running group: processes, and what they say.
fn start() -> Vec<(Child, Lines)> {
    let mut children: Vec<(Child, Lines)> = (0..N_RANKS)
        .map(|rank| {
            let mut child = Command::new(std::env::current_exe().unwrap())
                .args(["processes::child_reduces", "--exact", "--nocapture"])
                .env(RANK, rank.to_string())
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let lines = BufReader::new(child.stderr.take().unwrap()).lines();
            (child, lines)
        })
        .collect();
    let addresses: Vec<String> =
        children.iter_mut().map(|(_, lines)| lines.next().unwrap().unwrap()).collect();
    for (child, _) in &mut children {
        writeln!(child.stdin.take().unwrap(), "{}", addresses.join(" ")).unwrap();
    }
    children
}

/// Has `signal` sent to the middle rank as it reduces; what the others say, and after how long.
fn lose(signal: &str) -> Vec<(String, Duration)> {
    let mut children = start();
    for _ in 0..3 {
        assert_eq!(children[1].1.next().unwrap().unwrap(), "reduced");
    }
    let clock = clock();
    let id = children[1].0.id().to_string();
    assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    let (mut lost, _) = children.remove(1);
    let said = children
        .into_iter()
        .map(|(mut child, lines)| {
            let last = lines.map_while(Result::ok).find(|line| line != "reduced");
            let took = clock();
            assert!(child.wait().unwrap().success());
            (last.unwrap(), took)
        })
        .collect();
    lost.kill().unwrap();
    lost.wait().unwrap();
    said
}

#[test]
fn a_killed_process_is_noticed_at_once() {
    for (said, took) in lose("-KILL") {
        assert_eq!(said, "closed");
        assert!(took < Duration::from_secs(2), "{took:?}");
        writeln!(std::io::stderr(), "a killed process was noticed after {took:?}").unwrap();
    }
}

#[test]
fn a_stopped_process_is_noticed_by_its_silence() {
    for (_, took) in lose("-STOP") {
        let limit = quick_limits().silence_max;
        assert!(took < limit + Duration::from_secs(2), "{took:?}");
        writeln!(std::io::stderr(), "a stopped process was noticed after {took:?}").unwrap();
    }
}
