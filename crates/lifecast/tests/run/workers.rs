//! Several workers train: to the bytes of one, also when one of them is killed; and what is said to
//! who starts them wrongly.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sysinfo::{Pid, ProcessesToUpdate, Signal, System};

use crate::shop::{Run, Shop};

/// Kills a process that `parent` started, once there is one; whether it was there.
fn kill_a_worker(parent: &mut Child) -> bool {
    let mut system = System::new();
    while parent.try_wait().unwrap().is_none() {
        system.refresh_processes(ProcessesToUpdate::All, true);
        let own = Some(Pid::from_u32(parent.id()));
        let is_worker = |process: &&sysinfo::Process| {
            process.parent() == own && process.thread_kind().is_none()
        };
        if let Some(worker) = system.processes().values().find(is_worker) {
            return worker.kill_with(Signal::Kill).unwrap_or(false);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

#[test]
fn two_workers_one_of_which_is_killed_train_to_the_bytes_of_one() {
    let undisturbed = Shop::new().run().digests();
    let shop = Shop::new();
    let mut command = shop.command();
    command.args(["--workers", "2"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    assert!(kill_a_worker(&mut child), "no worker was seen");
    let output = child.wait_with_output().unwrap();
    let disturbed = Run {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    };
    assert_eq!(disturbed.digests(), undisturbed);
}

/// Arguments, variables, and what is then said.
type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a str);

#[test]
fn who_starts_workers_wrongly_is_told_what_is_missing() {
    let said = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lifecast"));
        for name in ["RANK", "WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "JOB_COMPLETION_INDEX"] {
            command.env_remove(name);
        }
        let folder = tempfile::tempdir().unwrap();
        command.current_dir(folder.path()).envs(variables.iter().copied());
        let output = command.args(arguments).stdin(Stdio::null()).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let features = format!("features={}", "a".repeat(64));
    let cases: [Case<'_>; 5] = [
        (&["worker", &features], &[], "RANK"),
        (&["worker", &features], &[("RANK", "0")], "WORLD_SIZE"),
        (&["worker", &features], &[("RANK", "2"), ("WORLD_SIZE", "2")], "ranks count from 0"),
        (&["worker", "--job-from-stdin"], &[], "lifecast train --workers N"),
        (&["train", &features, "--workers", "2", "--min-workers", "3"], &[], "over --workers 2"),
    ];
    for (arguments, variables, wanted) in cases {
        let (code, stderr) = said(arguments, variables);
        assert_eq!(code, Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains(wanted), "{arguments:?}: {stderr}");
    }
}
