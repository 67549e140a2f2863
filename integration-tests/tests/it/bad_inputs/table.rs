//! The list of the rows, which must not promise what is not there.

use std::collections::BTreeSet;
use std::path::Path;

const TABLE: &str = include_str!("../../../BAD_INPUTS.md");

/// The lists, and how many rows each has.
const LISTS: [(&str, usize); 5] = [
    ("every service", 45),
    ("gateway", 20),
    ("identity", 37),
    ("registration", 23),
    ("orgtree", 20),
];

/// The functions of all tests of the tree.
fn functions(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            functions(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let names = text.split("fn ").skip(1).filter_map(|rest| rest.split_once("()"));
            found.extend(names.map(|(name, _)| name.to_owned()));
        }
    }
}

/// The cells of a row.
fn cells(line: &str) -> Vec<&str> {
    line.trim_matches('|').split(" | ").map(str::trim).collect()
}

#[test]
fn every_row_is_there_and_every_test_that_it_names() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut known = BTreeSet::new();
    for folder in ["shared", "services", "integration-tests"] {
        functions(&root.join(folder), &mut known);
    }
    let mut named = BTreeSet::new();
    for (list, rows) in LISTS {
        let mut next = 1;
        for row in TABLE.lines().map(cells).filter(|row| row[0] == list) {
            assert_eq!(row.len(), 5, "{row:?}");
            assert_eq!(row[1], next.to_string(), "{list}");
            next += 1;
            let tests: Vec<&str> = row[4].split('`').skip(1).step_by(2).collect();
            assert!(!tests.is_empty() || row[4].starts_with("later: "), "{row:?}");
            for test in tests {
                let name = test.rsplit("::").next().unwrap().to_owned();
                assert!(known.contains(&name), "{list} {}: there is no test {test}", row[1]);
                named.insert(name);
            }
        }
        assert_eq!(next - 1, rows, "{list}");
    }
    // And nothing is proven that the table does not tell of.
    let numbered = |name: &&String| {
        let lists = ["every_service_", "gateway_", "registration_"];
        lists.iter().any(|list| {
            let rest = name.strip_prefix(list).unwrap_or_default();
            rest.starts_with(|first: char| first.is_ascii_digit())
        })
    };
    for name in known.iter().filter(numbered) {
        assert!(named.contains(name), "{name} is not in the table");
    }
}
