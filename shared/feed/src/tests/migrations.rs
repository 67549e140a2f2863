//! The tables are the same in every schema.

use std::fs;
use std::path::Path;

#[test]
fn every_schema_has_the_tables_of_the_templates() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let template = |name: &str, schema: &str| {
        fs::read_to_string(here.join("sql").join(name)).unwrap().replace("{schema}", schema)
    };
    let own = |file: &str| ("feed_test".to_owned(), here.join("tests/migrations").join(file));
    let mut found = vec![own("0001_feed.sql"), own("0003_feed_scopes.sql")];
    for service in fs::read_dir(here.join("../../services")).unwrap() {
        let folder = service.unwrap().path();
        let Ok(files) = fs::read_dir(folder.join("migrations")) else { continue };
        for file in files {
            let path = file.unwrap().path();
            if path.to_string_lossy().ends_with("_feed.sql")
                || path.to_string_lossy().ends_with("_feed_scopes.sql")
            {
                let schema = folder.file_name().unwrap().to_string_lossy().replace('-', "_");
                found.push((schema, path));
            }
        }
    }
    assert!(found.len() >= 8, "{found:?}");
    for (schema, path) in found {
        let text = fs::read_to_string(&path).unwrap();
        let kind = if path.to_string_lossy().ends_with("_scopes.sql") { "_scopes" } else { "" };
        let of = |side: &str| template(&format!("{side}{kind}.sql"), &schema);
        let (writer, reader) = (of("writer"), of("reader"));
        let tables = [writer.clone(), format!("{writer}\n{reader}"), reader];
        assert!(tables.contains(&text), "{} is not as the templates say", path.display());
    }
}
