//! SIGKILL while each stage is at work: the next run goes on and ends in the same bytes.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use crate::shop::Shop;

fn start(shop: &Shop) -> Child {
    shop.command().stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Kills a run (SIGKILL) as soon as `n_before` stages are through and the folder of the next one's
/// output is there. Answers whether it was killed: a quick last stage may be done before.
fn kill_within_stage(shop: &Shop, n_before: usize) -> bool {
    let mut child = start(shop);
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let mut n_done = 0;
    while n_done < n_before {
        let line = lines.next().unwrap_or_default();
        let how = line.split_whitespace().nth(1);
        assert!(matches!(how, Some("made" | "found")), "{line}");
        n_done += 1;
    }
    let own = format!("{}-", child.id());
    kill_when(child, || exists_below(&shop.path("work/making"), &|name| name.starts_with(&own)))
}

/// Kills a run as soon as `is_time`; whether it was killed, not ended.
fn kill_when(mut child: Child, is_time: impl Fn() -> bool) -> bool {
    while !is_time() {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        std::thread::yield_now();
    }
    child.kill().unwrap();
    !child.wait().unwrap().success()
}

fn exists_below(folder: &Path, is_wanted: &dyn Fn(&str) -> bool) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| {
        is_wanted(&entry.file_name().to_string_lossy())
            || (entry.path().is_dir() && exists_below(&entry.path(), is_wanted))
    })
}

#[test]
fn a_run_killed_within_any_stage_goes_on_to_the_same_bytes() {
    let undisturbed = Shop::new().run().digests();
    let shop = Shop::new();
    let mut n_killed = 0;
    for (n_before, (stage, _)) in undisturbed.iter().enumerate() {
        n_killed += usize::from(kill_within_stage(&shop, n_before));
        if stage == "train/lifecast" {
            // Once more, with a checkpoint to go on from.
            let has_checkpoint =
                || exists_below(&shop.path("work/checkpoints"), &|name| name == "manifest.json");
            assert!(kill_when(start(&shop), has_checkpoint), "it ended without a checkpoint");
        }
    }
    assert!(n_killed + 2 >= undisturbed.len(), "{n_killed} of {}", undisturbed.len());
    assert_eq!(shop.run().digests(), undisturbed);
}
