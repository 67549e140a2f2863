//! What may depend on what.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Measures what runs in production, and never runs there.
const BENCHMARKS: &str = "zhiyuan-benchmarks";

/// A crate of the workspace.
struct Package {
    folder: PathBuf,
    /// The crates of the workspace that it builds on, those of its tests apart.
    builds_on: BTreeSet<String>,
    tests_with: BTreeSet<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn workspace() -> BTreeMap<String, Package> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap();
    let names: BTreeSet<String> = packages.iter().map(|package| text(&package["name"])).collect();
    let package = |package: &Value| {
        let of_kind = |dev: bool| {
            package["dependencies"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|dependency| (dependency["kind"] == "dev") == dev)
                .map(|dependency| text(&dependency["name"]))
                .filter(|name| names.contains(name))
                .collect()
        };
        let manifest = PathBuf::from(text(&package["manifest_path"]));
        let folder = manifest.parent().unwrap().strip_prefix(root()).unwrap().to_owned();
        let found = Package { folder, builds_on: of_kind(false), tests_with: of_kind(true) };
        (text(&package["name"]), found)
    };
    packages.iter().map(package).collect()
}

impl Package {
    fn is_shared(&self) -> bool {
        self.folder.starts_with("shared")
    }

    /// A service in the narrow sense: `standalone` runs them all and is none.
    fn is_service(&self) -> bool {
        self.folder.starts_with("services") && !self.folder.ends_with("standalone")
    }
}

#[test]
fn only_standalone_and_what_measures_or_tests_it_know_more_than_one_service() {
    let workspace = workspace();
    assert!(workspace.values().filter(|package| package.is_service()).count() >= 4);
    for (name, package) in &workspace {
        let known: Vec<&String> = package
            .builds_on
            .union(&package.tests_with)
            .filter(|other| workspace[*other].is_service() && *other != name)
            .collect();
        if ["zhiyuan-standalone", "integration-tests", BENCHMARKS].contains(&name.as_str()) {
            continue;
        }
        assert!(known.is_empty(), "{name} depends on the services {known:?}");
    }
}

#[test]
fn shared_crates_build_on_shared_crates_alone() {
    let workspace = workspace();
    for (name, package) in workspace.iter().filter(|(_, package)| package.is_shared()) {
        for other in package.builds_on.union(&package.tests_with) {
            assert!(workspace[other].is_shared(), "{name} depends on {other}");
        }
    }
}

#[test]
fn contracts_and_domain_build_on_nothing_of_ours() {
    let workspace = workspace();
    for name in ["zhiyuan-contracts", "zhiyuan-domain"] {
        let known = &workspace[name].builds_on;
        assert!(known.is_empty(), "{name} depends on {known:?}");
    }
}

#[test]
fn nothing_that_runs_in_production_builds_on_the_means_of_tests() {
    for (name, package) in workspace().iter().filter(|(name, _)| *name != BENCHMARKS) {
        assert!(!package.builds_on.contains("zhiyuan-testkit"), "{name} builds on the testkit");
        assert!(!package.builds_on.contains("integration-tests"), "{name}");
        assert!(!package.builds_on.contains(BENCHMARKS), "{name}");
    }
}

#[test]
fn versions_stand_in_the_workspace_alone() {
    for (name, package) in workspace() {
        let manifest = root().join(&package.folder).join("Cargo.toml");
        let manifest: toml::Table = std::fs::read_to_string(manifest).unwrap().parse().unwrap();
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let table = manifest.get(section).and_then(toml::Value::as_table);
            for (dependency, how) in table.into_iter().flatten() {
                let inherited = how.get("workspace").and_then(toml::Value::as_bool);
                assert_eq!(inherited, Some(true), "{name}: {dependency} in [{section}]");
            }
        }
        for key in ["version", "edition", "rust-version", "license", "publish"] {
            let inherited = manifest["package"][key].get("workspace");
            assert!(inherited.is_some(), "{name}: package.{key}");
        }
        // Generated code is held to the lints of the contracts, not to ours.
        let lints = manifest.get("lints").and_then(|lints| lints.get("workspace"));
        assert!(lints.is_some() || name == "zhiyuan-contracts", "{name} chose lints of its own");
    }
}
