use std::collections::BTreeMap;
use std::io::Write as _;

use serde::Deserialize;

use super::{Error, Secret, load, load_from};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    listen: String,
    database: Database,
    #[serde(default)]
    origins: Vec<String>,
    #[serde(default)]
    weights: BTreeMap<String, i64>,
    mode: Mode,
    token: Option<Secret>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Database {
    max_connections: u16,
    password: Secret,
    ratio: f64,
    tls: bool,
    label: String,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Fast,
    Safe,
}

const DEFAULTS: &str = r#"
listen = "127.0.0.1:0"
origins = ["x", "y"]
mode = "safe"
[database]
max_connections = 10
password = "built-in"
ratio = 0.5
tls = false
label = "main"
"#;

fn with(env: &[(&str, &str)]) -> Result<Config, Error> {
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    load_from("credit-export", DEFAULTS, None, env)
}

fn with_file(text: &str, env: &[(&str, &str)]) -> Result<Config, Error> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    load_from("credit-export", DEFAULTS, Some(file.path()), env)
}

fn text(error: &Error) -> String {
    format!("{error} {error:?}")
}

#[test]
fn uses_the_defaults_when_nothing_else_is_given() {
    let config: Config = load("no-such-service", DEFAULTS, None).unwrap();
    assert_eq!(config.listen, "127.0.0.1:0");
    assert_eq!(config.mode, Mode::Safe);
    assert_eq!(config.database.password.expose(), "built-in");
    assert!(config.token.is_none());
}

#[test]
fn the_file_beats_the_defaults_and_the_environment_beats_the_file() {
    let file = "listen = \"file\"\n[database]\nmax_connections = 20\nlabel = \"file\"\n";
    let config =
        with_file(file, &[("ZHIYUAN_CREDIT_EXPORT__DATABASE__MAX_CONNECTIONS", "30")]).unwrap();
    assert_eq!(config.listen, "file");
    assert_eq!(config.database.label, "file");
    assert_eq!(config.database.max_connections, 30);
    assert!((config.database.ratio - 0.5).abs() < f64::EPSILON);
}

#[test]
fn a_variable_becomes_what_the_field_wants() {
    let config = with(&[
        ("ZHIYUAN_CREDIT_EXPORT__DATABASE__RATIO", "0.25"),
        ("ZHIYUAN_CREDIT_EXPORT__DATABASE__TLS", "true"),
        ("ZHIYUAN_CREDIT_EXPORT__MODE", "fast"),
        ("ZHIYUAN_CREDIT_EXPORT__ORIGINS", r#"["a", "b,c"]"#),
        ("ZHIYUAN_CREDIT_EXPORT__WEIGHTS", "{ one = 1 }"),
        ("ZHIYUAN_CREDIT_EXPORT__TOKEN", "t"),
    ])
    .unwrap();
    assert!((config.database.ratio - 0.25).abs() < f64::EPSILON);
    assert!(config.database.tls);
    assert_eq!(config.mode, Mode::Fast);
    assert_eq!(config.origins, ["a", "b,c"]);
    assert_eq!(config.weights.get("one"), Some(&1));
    assert_eq!(config.token.unwrap().expose(), "t");
}

#[test]
fn text_that_looks_like_a_number_keeps_its_spelling() {
    for spelling in
        ["007", "1e5", "0x1F", "+5", "1_000", "1.50", "true", "2026-11-23", "[oops", " "]
    {
        let config = with(&[
            ("ZHIYUAN_CREDIT_EXPORT__DATABASE__PASSWORD", spelling),
            ("ZHIYUAN_CREDIT_EXPORT__DATABASE__LABEL", spelling),
        ])
        .unwrap();
        assert_eq!(config.database.password.expose(), spelling);
        assert_eq!(config.database.label, spelling);
    }
}

#[test]
fn rejects_an_unknown_key_in_every_layer_and_says_which() {
    let error =
        with(&[("ZHIYUAN_CREDIT_EXPORT__DATABASE__MAX_CONECTIONS", "hunter2")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "unknown key `database.max_conections` in the environment variable \
         ZHIYUAN_CREDIT_EXPORT__DATABASE__MAX_CONECTIONS"
    );
    assert!(!text(&error).contains("hunter2"));

    let error = with(&[("ZHIYUAN_CREDIT_EXPORT__NOWHERE__AT_ALL", "1")]).unwrap_err();
    assert!(matches!(&error, Error::UnknownKey { key, .. } if key == "nowhere"), "{error}");

    let error = with_file("[database]\nlable = \"hunter2\"\n", &[]).unwrap_err();
    assert!(matches!(&error, Error::UnknownKey { key, .. } if key == "database.lable"), "{error}");
    assert!(!text(&error).contains("hunter2"));

    let defaults = format!("extra = 1\n{DEFAULTS}");
    let error = load_from::<Config>("credit-export", &defaults, None, []).unwrap_err();
    assert_eq!(error.to_string(), "unknown key `extra` in the built-in defaults");
}

#[test]
fn rejects_a_value_of_another_type_without_repeating_it() {
    for (name, key, expected) in [
        ("DATABASE__MAX_CONNECTIONS", "database.max_connections", "expected an integer"),
        ("DATABASE__TLS", "database.tls", "expected a boolean"),
        ("MODE", "mode", "not one that this key accepts"),
        ("ORIGINS", "origins", "expected a sequence"),
        ("DATABASE", "database", "expected struct Database"),
    ] {
        let error = with(&[(&format!("ZHIYUAN_CREDIT_EXPORT__{name}"), "hunter2, expected x")])
            .unwrap_err();
        let Error::InvalidValue { key: found, origin, fault } = &error else { panic!("{error}") };
        assert_eq!(found, key);
        assert!(origin.ends_with(name), "{origin}");
        assert!(fault.starts_with(expected), "{fault}");
        assert!(!text(&error).contains("hunter2"));
    }
    let error = with(&[("ZHIYUAN_CREDIT_EXPORT__DATABASE__MAX_CONNECTIONS", "70000")]).unwrap_err();
    assert!(matches!(&error, Error::InvalidValue { .. }));
    assert!(!text(&error).contains("70000"));
    let error = with(&[("ZHIYUAN_CREDIT_EXPORT__WEIGHTS__ONE", "hunter2")]).unwrap_err();
    assert!(matches!(&error, Error::InvalidValue { key, .. } if key == "weights.one"), "{error}");
}

#[test]
fn names_a_missing_key() {
    let error =
        load_from::<Config>("x", "listen = \"a\"\nmode = \"fast\"\n", None, []).unwrap_err();
    assert_eq!(error.to_string(), "missing key `database`");
    let defaults = DEFAULTS.replace("tls = false\n", "");
    let error = load_from::<Config>("x", &defaults, None, []).unwrap_err();
    assert_eq!(error.to_string(), "missing key `database.tls`");
}

#[test]
fn a_file_that_is_no_toml_is_told_by_its_line_alone() {
    let error = with_file("listen = \"a\"\npassword = hunter2\n", &[]).unwrap_err();
    assert!(matches!(&error, Error::Syntax { line: 2, .. }), "{error}");
    assert!(!text(&error).contains("hunter2"));
    let missing = std::path::Path::new("/no/such/file.toml");
    let error = load_from::<Config>("x", DEFAULTS, Some(missing), []).unwrap_err();
    assert_eq!(error.to_string(), "failed to read the configuration file /no/such/file.toml");
}

#[test]
fn rejects_variables_that_contradict_each_other_or_name_no_key() {
    let twice = [
        ("ZHIYUAN_CREDIT_EXPORT__DATABASE", "{ label = \"a\" }"),
        ("ZHIYUAN_CREDIT_EXPORT__DATABASE__LABEL", "b"),
    ];
    assert!(matches!(with(&twice).unwrap_err(), Error::Variable { .. }));
    let twice = [("ZHIYUAN_CREDIT_EXPORT__LISTEN", "a"), ("ZHIYUAN_CREDIT_EXPORT__LISTEN__X", "b")];
    assert!(matches!(with(&twice).unwrap_err(), Error::Variable { .. }));
    let twice = [("ZHIYUAN_CREDIT_EXPORT__LISTEN", "a"), ("ZHIYUAN_CREDIT_EXPORT__Listen", "b")];
    assert!(matches!(with(&twice).unwrap_err(), Error::Variable { .. }));
    for name in ["", "A____B", "A__", "A.B"] {
        let error = with(&[(&format!("ZHIYUAN_CREDIT_EXPORT__{name}"), "x")]).unwrap_err();
        assert!(matches!(error, Error::Variable { .. }), "{name}");
    }
}

#[test]
fn ignores_the_variables_of_others() {
    let config = with(&[
        ("ZHIYUAN_CREDIT__LISTEN", "no"),
        ("ZHIYUAN_CREDIT_EXPORT_PORT", "tcp://10.0.0.1:80"),
        ("zhiyuan_credit_export__LISTEN", "no"),
    ])
    .unwrap();
    assert_eq!(config.listen, "127.0.0.1:0");
}

#[test]
fn a_secret_is_read_from_its_file_without_the_newline() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("password");
    let name = "ZHIYUAN_CREDIT_EXPORT__DATABASE__PASSWORD__FILE";
    for (content, secret) in
        [("s3cret\n", "s3cret"), ("s3cret\r\n", "s3cret"), ("a\nb\n\n", "a\nb\n"), ("  x ", "  x ")]
    {
        std::fs::write(&path, content).unwrap();
        let config = with(&[(name, path.to_str().unwrap())]).unwrap();
        assert_eq!(config.database.password.expose(), secret);
        let file = format!("token = {{ file = {path:?} }}");
        assert_eq!(with_file(&file, &[]).unwrap().token.unwrap().expose(), secret);
    }
    std::fs::write(&path, "\n").unwrap();
    let error = with(&[(name, path.to_str().unwrap())]).unwrap_err();
    assert!(error.to_string().ends_with("secret file is empty"), "{error}");
}

#[test]
fn a_secret_whose_file_is_missing_is_named_by_its_key() {
    let error = with(&[("ZHIYUAN_CREDIT_EXPORT__TOKEN__FILE", "/no/such")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "invalid value of key `token` in the environment variable \
         ZHIYUAN_CREDIT_EXPORT__TOKEN__FILE: secret file can't be read: entity not found"
    );
    let error = with(&[("ZHIYUAN_CREDIT_EXPORT__TOKEN__FIEL", "hunter2")]).unwrap_err();
    assert!(matches!(&error, Error::UnknownKey { key, .. } if key == "token.fiel"), "{error}");
    let error = with(&[("ZHIYUAN_CREDIT_EXPORT__TOKEN", "[1]")]).unwrap_err();
    assert!(error.to_string().ends_with("expected a string or { file = \"/path\" }"), "{error}");
}

#[test]
fn a_secret_does_not_show_itself() {
    let config = with(&[("ZHIYUAN_CREDIT_EXPORT__TOKEN", "hunter2")]).unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
    assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(***)");
}
