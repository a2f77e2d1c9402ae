//! `cargo xtask ci --full`: what needs more than Rust and a C compiler.
//!
//! `deploy/ci/install.sh` installs it. Here a missing tool is a failure, never a skipped check.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use xshell::{Shell, cmd};

use crate::cargo::cargo;
use crate::ci::{Step, say};
use crate::{gpu, programs};

/// What `--full` adds.
pub(crate) const STEPS: &[Step] = &[
    ("cargo-deny", deny),
    ("report", report),
    ("kubernetes", kubernetes),
    ("chaos", chaos),
    ("mpi", mpi),
    ("s3", s3),
    ("foreign model", foreign_model),
    ("test-gpu", gpu::test),
    ("check with cuda", gpu::check_cuda),
];

/// Bans, licences and sources of all dependencies, by `deny.toml`.
fn deny(sh: &Shell) -> anyhow::Result<()> {
    installed(sh, "cargo-deny", &["--version"])?;
    Ok(cargo(sh, "deny --locked check bans licenses sources").run()?)
}

/// Holds the manifests of `deploy/kubernetes` against the schemas of what reads them.
fn kubernetes(sh: &Shell) -> anyhow::Result<()> {
    installed(sh, "python3", &["-c", "import kubernetes_validate, kubeflow_trainer_api, yaml"])?;
    Ok(cmd!(sh, "python3 deploy/kubernetes/validate.py").run()?)
}

/// Kills and stops workers of trainings, on this machine and over hosts that are namespaces.
fn chaos(sh: &Shell) -> anyhow::Result<()> {
    programs::build(sh)?;
    let chaos = programs::path(sh, "chaos")?;
    cmd!(sh, "{chaos} training --kills 50").run()?;
    Ok(cmd!(sh, "{chaos} hosts --kills 10").run()?)
}

/// Holds MPI to what every collective must do; trains under mpirun, and once more after a rank was killed.
fn mpi(sh: &Shell) -> anyhow::Result<()> {
    installed(sh, "mpirun", &["--version"])?;
    programs::build_with_mpi(sh)?;
    let chaos = programs::path(sh, "chaos")?;
    Ok(cmd!(sh, "{chaos} mpi").run()?)
}

/// Runs the pipeline and workers with their store on S3.
fn s3(sh: &Shell) -> anyhow::Result<()> {
    programs::build(sh)?;
    let test = "test --workspace --locked --features tests/s3 --test s3";
    Ok(cargo(sh, test).run()?)
}

/// Explains an ONNX network behind the Open Inference Protocol.
fn foreign_model(sh: &Shell) -> anyhow::Result<()> {
    installed(sh, "python3", &["-c", "import onnx, onnxruntime, tritonclient.grpc"])?;
    programs::build(sh)?;
    let program = programs::path(sh, "lifecast")?;
    Ok(cmd!(sh, "python3 tests/peers/foreign_model.py {program}").run()?)
}

/// Makes the demo's report, opens it in a browser, takes a picture, and listens for its errors.
fn report(sh: &Shell) -> anyhow::Result<()> {
    installed(sh, "chromium", &["--version"])?;
    programs::build(sh)?;
    let demo = programs::path(sh, "demo")?;
    let output = cmd!(sh, "{demo} --json").read()?;
    let report = report_path(&output)?;
    let report = sh.current_dir().join(report);
    let picture = demo.with_file_name("report.png");
    let errors = browse(sh, &report, &picture)?;
    if !errors.is_empty() {
        bail!("the browser complains of {}:\n{}", report.display(), errors.join("\n"));
    }
    let n_bytes = sh.read_binary_file(&picture)?.len();
    if n_bytes < PICTURE_BYTES_MIN {
        bail!("{} has only {n_bytes} bytes: an empty page", picture.display());
    }
    say(&format!("picture of the report: {}", picture.display()));
    Ok(())
}

/// A blank page of that size compresses to less.
const PICTURE_BYTES_MIN: usize = 30_000;

/// Takes a picture of a page; answers the errors of its scripts.
fn browse(sh: &Shell, page: &Path, picture: &Path) -> anyhow::Result<Vec<String>> {
    let arguments = [
        "--headless=new",
        "--no-sandbox", // CI is root in a container
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        "--window-size=1280,6000",
        "--virtual-time-budget=20000",
        "--enable-logging=stderr",
    ];
    let screenshot = format!("--screenshot={}", picture.display());
    let url = format!("file://{}", page.display());
    let output = cmd!(sh, "chromium {arguments...} {screenshot} {url}").output()?;
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok(log.lines().filter(|line| is_error(line)).map(str::to_owned).collect())
}

/// Whether a line of Chromium's log is a script or resource that failed.
fn is_error(line: &str) -> bool {
    let failures = ["Uncaught", "Failed to load", "Refused to", "net::ERR_"];
    line.contains("CONSOLE") && failures.iter().any(|failure| line.contains(failure))
}

/// The report's path in the JSON object that `demo --json` prints last.
fn report_path(output: &str) -> anyhow::Result<PathBuf> {
    let last = output.lines().rfind(|line| !line.is_empty()).context("the demo printed nothing")?;
    let summary: serde_json::Value =
        serde_json::from_str(last).context("the demo's last line is no JSON")?;
    let path = summary["report"].as_str().context("the demo's JSON names no report")?;
    Ok(PathBuf::from(path))
}

fn installed(sh: &Shell, program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let found = cmd!(sh, "{program} {arguments...}").quiet().ignore_stderr().read();
    found.map(|_| ()).with_context(|| format!("{program} is missing; run deploy/ci/install.sh"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_is_named_by_the_last_line() {
        let output = "some text\n{\"report\":\"target/demo/report.html\",\"seconds\":1.5}\n\n";
        assert_eq!(report_path(output).unwrap(), Path::new("target/demo/report.html"));
        assert!(report_path("").is_err());
        assert!(report_path("done").is_err());
        assert!(report_path("{}").is_err());
    }

    #[test]
    fn errors_of_scripts_are_told_from_chatter() {
        let wrong =
            r#"[1:1:1/1:ERROR:CONSOLE(3)] "Uncaught ReferenceError: x", source: r.html (3)"#;
        assert!(is_error(wrong));
        assert!(!is_error(r#"[1:1:1/1:INFO:CONSOLE(3)] "plotted 4", source: r.html (3)"#));
        assert!(!is_error("[1:1:1/1:ERROR:dbus/bus.cc(408)] Failed to connect to the bus"));
    }
}
