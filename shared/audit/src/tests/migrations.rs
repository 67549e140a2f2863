//! The tables are the same in every schema.

use std::fs;
use std::path::{Path, PathBuf};

/// The migrations that end in `_NAME`, with their schemas: one of each service, and ours.
fn copies(name: &str) -> Vec<(String, PathBuf)> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![("audit_test".to_owned(), here.join("tests/migrations"))];
    for service in fs::read_dir(here.join("../../services")).unwrap() {
        let folder = service.unwrap().path();
        let schema = folder.file_name().unwrap().to_string_lossy().replace('-', "_");
        folders.push((schema, folder.join("migrations")));
    }
    let mut found = Vec::new();
    for (schema, folder) in folders {
        let Ok(files) = fs::read_dir(folder) else { continue };
        let before = found.len();
        for file in files {
            let path = file.unwrap().path();
            if path.to_string_lossy().ends_with(&format!("_{name}")) {
                found.push((schema.clone(), path));
            }
        }
        assert_eq!(found.len(), before + 1, "{schema} has one {name}");
    }
    assert!(found.len() >= 4, "{found:?}");
    found
}

#[test]
fn every_schema_has_the_tables_of_the_templates() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in ["audit.sql", "leases.sql"] {
        let template = fs::read_to_string(here.join("sql").join(name)).unwrap();
        for (schema, path) in copies(name) {
            let text = fs::read_to_string(&path).unwrap();
            let expected = template.replace("{schema}", &schema);
            assert!(text == expected, "{} is not as the template says", path.display());
        }
    }
}
