//! `cargo xtask builtin`: makes the built-in model's files from its recipe.

use anyhow::{Context, ensure};
use xshell::{Shell, cmd};

use crate::ci::say;
use crate::programs;

/// Lives by frequency, all from one seed.
const LIVES: [(&str, &str); 3] = [("week", "140000"), ("month", "40000"), ("day", "40000")];
const SEED: &str = "7";

/// Where the files go, and what is trained by.
const FOLDER: &str = "crates/model/builtin";

/// Simulates lives, trains on them and puts the model where it is compiled in.
pub(crate) fn make(sh: &Shell) -> anyhow::Result<()> {
    programs::build(sh)?;
    let lifecast = programs::path(sh, "lifecast")?;
    let root = sh.current_dir();
    let home = root.join("target/builtin");
    let (store, work) = (home.join("store"), home.join("work"));
    let mut inputs: Vec<String> = Vec::new();
    for (number, (frequency, lives)) in LIVES.iter().enumerate() {
        let raw = home.join(frequency);
        let _ = sh.remove_path(&raw);
        say(&format!("{lives} lives by {frequency}"));
        cmd!(
            sh,
            "{lifecast} simulate --lives {lives} --frequency {frequency} --seed {SEED} --output {raw}"
        )
        .run()?;
        let mapping = raw.join("mapping.toml");
        let kept = ["--json".as_ref(), "--store".as_ref(), store.as_os_str(), "--work".as_ref()];
        let ingest = cmd!(sh, "{lifecast} ingest --mapping {mapping} {kept...} {work}").read()?;
        let dataset = artifact(&ingest)?;
        let features = cmd!(sh, "{lifecast} features dataset={dataset} {kept...} {work}").read()?;
        let name =
            if number == 0 { "features".to_owned() } else { format!("features-{}", number + 1) };
        inputs.push(format!("{name}={}", artifact(&features)?));
    }
    let (recipe, made) = (root.join(FOLDER).join("recipe.toml"), home.join("model"));
    let kept = ["--json".as_ref(), "--store".as_ref(), store.as_os_str(), "--work".as_ref()];
    cmd!(sh, "{lifecast} train {inputs...} --config {recipe} --out {made} {kept...} {work}")
        .run()?;
    for name in ["model.json", "model.safetensors", "fitted.json"] {
        sh.copy_file(made.join(name), root.join(FOLDER).join(name))?;
    }
    say(&format!("{FOLDER} is made anew; commit it with the measurement that it improves"));
    Ok(())
}

/// The digest in a stage's answer.
fn artifact(answer: &str) -> anyhow::Result<String> {
    let (_, rest) =
        answer.split_once("\"artifact\":\"").context("the stage answers no artifact")?;
    let digest: String = rest.chars().take_while(char::is_ascii_hexdigit).collect();
    ensure!(digest.len() == 64, "`{digest}` is no digest");
    Ok(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_found_in_the_answer() {
        let digest = "a".repeat(64);
        let answer = format!("{{\"name\":\"ingest\",\"artifact\":\"{digest}\",\"cached\":false}}");
        assert_eq!(artifact(&answer).expect("found"), digest);
        assert!(artifact("{}").is_err());
    }
}
