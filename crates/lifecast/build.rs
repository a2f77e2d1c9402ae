//! The code version of each stage, taken when the program is built.
//!
//! An artifact's key says which code made it. The version of a stage is the SHA-256 of what decides
//! its machine code, as far as it lies in the repository: `Cargo.lock`, the workspace's choice of
//! dependencies and their features, and all files of the stage's crate and of our crates below it.
//! So a change to one stage makes that stage anew, and what reads its artifacts only if they differ.
//! What this machine adds (the instructions that the compiler may use) is [`TARGET`], for the
//! execution part of the key.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::{env, fs};

use sha2::{Digest as _, Sha256};

/// Stages by the name that their artifacts carry, and the crate of each.
pub(crate) const STAGES: &[(&str, &str)] = &[
    ("simulate", "simulator"),
    ("ingest", "ingest"),
    ("features", "features"),
    ("train", "trainer"),
    ("predict", "predictor"),
    ("evaluate", "evaluator"),
    ("explain", "explainer"),
    ("plan", "planner"),
    ("report", "report"),
];

/// Folders of a crate that are not in its library.
const NOT_BUILT: &[&str] = &["tests", "benches", "examples", "target"];

fn main() -> io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut code = String::from(
        "/// Stage name and code version, 64 hexadecimal digits each.\n\
         pub(crate) const CODE_VERSIONS: &[(&str, &str)] = &[\n",
    );
    for (stage, version) in code_versions(&root, STAGES)? {
        writeln!(code, "    ({stage:?}, {version:?}),").map_err(io::Error::other)?;
    }
    let target = target();
    write!(
        code,
        "];\n\n/// Architecture and instruction sets that this program was compiled for.\n\
         pub(crate) const TARGET: &str = {target:?};\n"
    )
    .map_err(io::Error::other)?;
    let out = env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?;
    fs::write(Path::new(&out).join("code_versions.rs"), code)?;

    let mut instructions = String::from("cargo::rerun-if-changed=build.rs\n");
    for read in ["Cargo.lock", "Cargo.toml", "crates"] {
        let path = root.join(read);
        writeln!(instructions, "cargo::rerun-if-changed={}", path.display())
            .map_err(io::Error::other)?;
    }
    io::stdout().write_all(instructions.as_bytes())
}

/// What the compiler may assume of the machine; float results can depend on it.
fn target() -> String {
    let of = |name: &str| {
        env::var_os(name).map(|value| value.to_string_lossy().into_owned()).unwrap_or_default()
    };
    let architecture = of("CARGO_CFG_TARGET_ARCH");
    let system = of("CARGO_CFG_TARGET_OS");
    let features = of("CARGO_CFG_TARGET_FEATURE");
    format!("{architecture}-{system} {features}")
}

/// The version of each stage, from the files below `root`.
pub(crate) fn code_versions(
    root: &Path,
    stages: &[(&str, &str)],
) -> io::Result<Vec<(String, String)>> {
    let workspace = fs::read_to_string(root.join("Cargo.toml"))?;
    let mut shared = Sha256::new();
    add(&mut shared, "Cargo.lock", &fs::read(root.join("Cargo.lock"))?);
    add(&mut shared, "dependencies", section(&workspace, "workspace.dependencies").as_bytes());

    let crates = root.join("crates");
    let mut digests = BTreeMap::new();
    let mut versions = Vec::new();
    for (stage, of) in stages {
        let mut version = shared.clone();
        for name in with_all_below(&crates, of)? {
            if !digests.contains_key(&name) {
                digests.insert(name.clone(), crate_digest(&crates.join(&name))?);
            }
            add(&mut version, &name, &digests[&name]);
        }
        versions.push(((*stage).to_owned(), hexadecimal(&version.finalize())));
    }
    Ok(versions)
}

/// The crate and all of ours that it uses, and they use, sorted by name.
fn with_all_below(crates: &Path, name: &str) -> io::Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    let mut open = vec![name.to_owned()];
    while let Some(name) = open.pop() {
        let manifest = fs::read_to_string(crates.join(&name).join("Cargo.toml"))?;
        for dependency in dependencies(&manifest) {
            if !found.contains(&dependency) && crates.join(&dependency).join("Cargo.toml").exists()
            {
                open.push(dependency);
            }
        }
        found.insert(name);
    }
    Ok(found)
}

/// Names of a manifest's dependencies that are built into the library.
fn dependencies(manifest: &str) -> Vec<String> {
    let is_name = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    let mut names = Vec::new();
    let mut is_inside = false;
    for line in manifest.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            let header = header.trim_end_matches(']');
            let (table, name) = header.rsplit_once('.').unwrap_or((header, ""));
            let is_built = |table: &str| {
                table.ends_with("dependencies") && !table.ends_with("dev-dependencies")
            };
            is_inside = is_built(header);
            if is_built(table) && !is_inside {
                names.push(name.to_owned()); // [dependencies.name]
            }
        } else if is_inside {
            let name: String = line.chars().take_while(|c| is_name(*c)).collect();
            names.extend((!name.is_empty()).then_some(name));
        }
    }
    names
}

/// The lines of one section of a manifest, without blank lines and comment lines.
fn section(manifest: &str, name: &str) -> String {
    let header = format!("[{name}]");
    let lines = manifest.lines().skip_while(|line| *line != header).skip(1);
    lines
        .take_while(|line| !line.starts_with('['))
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .fold(String::new(), |text, line| text + line + "\n")
}

/// Digest of all files of a crate that can be in its library: sources, and what they compile in.
fn crate_digest(folder: &Path) -> io::Result<Vec<u8>> {
    let mut digest = Sha256::new();
    for (name, path) in files(folder)? {
        add(&mut digest, &name, &fs::read(path)?);
    }
    Ok(digest.finalize().to_vec())
}

/// Name (parts joined by `/`) and path of each file of a crate, sorted by name.
fn files(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    let mut open = vec![(String::new(), folder.to_owned())];
    while let Some((prefix, folder)) = open.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') || (prefix.is_empty() && NOT_BUILT.contains(&name.as_str())) {
                continue;
            }
            if entry.file_type()?.is_dir() {
                open.push((format!("{prefix}{name}/"), entry.path()));
            } else {
                found.push((format!("{prefix}{name}"), entry.path()));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Adds a named part so that no other split of the same bytes gives the same digest.
fn add(digest: &mut Sha256, name: &str, bytes: &[u8]) {
    for part in [name.as_bytes(), bytes] {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}
