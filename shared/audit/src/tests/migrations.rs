//! The tables are the same in every schema.

use std::fs;
use std::path::Path;

#[test]
fn every_schema_has_the_tables_of_the_template() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let template = fs::read_to_string(here.join("sql/audit.sql")).unwrap();
    let mut found = vec![("audit_test".to_owned(), here.join("tests/migrations/0001_audit.sql"))];
    for service in fs::read_dir(here.join("../../services")).unwrap() {
        let folder = service.unwrap().path();
        let Ok(files) = fs::read_dir(folder.join("migrations")) else { continue };
        let schema = folder.file_name().unwrap().to_string_lossy().replace('-', "_");
        let before = found.len();
        for file in files {
            let path = file.unwrap().path();
            if path.to_string_lossy().ends_with("_audit.sql") {
                found.push((schema.clone(), path));
            }
        }
        assert_eq!(found.len(), before + 1, "{schema} has one audit");
    }
    assert!(found.len() >= 4, "{found:?}");
    for (schema, path) in found {
        let text = fs::read_to_string(&path).unwrap();
        let expected = template.replace("{schema}", &schema);
        assert!(text == expected, "{} is not as the template says", path.display());
    }
}
