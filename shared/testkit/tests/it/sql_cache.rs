use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Output, Stdio},
};

use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

/// A service without dependencies, whose build script does what `query!` does: it asks for the
/// database and leaves an answer.
const BUILD: &str = r#"
fn main() {
    println!("cargo::rerun-if-changed=src/lib.rs");
    let variable = |name| std::env::var(name).expect(name);
    assert_eq!(variable("SQLX_OFFLINE"), "false");
    assert!(variable("DATABASE_URL").starts_with("postgres://"));
    let file = std::path::Path::new(&variable("SQLX_OFFLINE_DIR")).join("query-demo.json");
    std::fs::write(file, "{}\n").unwrap();
}
"#;

fn workspace() -> TempDir {
    let folder = tempfile::Builder::new().prefix("zhiyuan-sql-cache-it-").tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("Cargo.toml", "[workspace]\nmembers = [\"services/demo\"]\nresolver = \"3\"\n");
    write("Cargo.lock", "version = 4\n\n[[package]]\nname = \"demo\"\nversion = \"0.0.0\"\n");
    write("services/demo/Cargo.toml", "[package]\nname = \"demo\"\nedition = \"2024\"\n");
    write("services/demo/build.rs", BUILD);
    write("services/demo/src/lib.rs", "// sqlx::query!(\"SELECT id FROM demo.t\")\n");
    write("services/demo/migrations/0001_t.sql", "CREATE TABLE demo.t (id int);");
    write("services/demo/migrations/0002_u.sql", "ALTER TABLE demo.t ADD COLUMN name text;");
    write("services/demo/key_migrations/0001_k.sql", "CREATE TABLE keys.k (id int);");
    folder
}

fn command(workspace: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sql-cache"));
    command.args(arguments).current_dir(workspace).env("CARGO_TERM_COLOR", "never");
    command
}

fn run(workspace: &TempDir, arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = command(workspace.path(), arguments).output().unwrap();
    let text = [stdout, stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    (status.code(), text)
}

#[test]
fn check_names_each_difference_and_write_settles_them() {
    let workspace = workspace();
    let cache = workspace.path().join(".sqlx");
    fs::create_dir(&cache).unwrap();
    fs::write(cache.join("query-old.json"), "").unwrap();

    let (code, text) = run(&workspace, &["check"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("missing query-demo.json"), "{text}");
    assert!(text.contains("stale query-old.json"), "{text}");
    assert!(text.contains("-- write"), "{text}");

    // One package's answers say nothing about the files of others.
    let (code, text) = run(&workspace, &["write", "-p", "demo"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(cache.join("query-old.json").exists());
    let (code, text) = run(&workspace, &["write"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(cache.join("query-demo.json").exists() && !cache.join("query-old.json").exists());

    let (code, text) = run(&workspace, &["check"]);
    assert_eq!(code, Some(0), "{text}");
}

#[test]
fn a_migration_that_fails_is_named_and_nothing_is_written() {
    let workspace = workspace();
    let broken = workspace.path().join("services/demo/migrations/0003_broken.sql");
    // The owner of one schema has no business in another.
    fs::write(broken, "CREATE TABLE public.t (id int);").unwrap();
    let (code, text) = run(&workspace, &["write"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("services/demo/migrations") && text.contains("migration 3"), "{text}");
    assert!(!workspace.path().join(".sqlx").exists());
}

#[tokio::test]
async fn serve_offers_the_migrated_database_until_its_input_ends() {
    let workspace = workspace();
    let mut child = command(workspace.path(), &["serve"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let url = line.trim().strip_prefix("DATABASE_URL=").unwrap();

    let mut connection = PgConnection::connect(url).await.unwrap();
    for sql in ["SELECT id, name FROM demo.t", "SELECT id FROM keys.k"] {
        sqlx::query(sql).execute(&mut connection).await.unwrap();
    }

    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    assert!(PgConnection::connect(url).await.is_err());
}

#[test]
fn a_wrong_argument_is_answered_with_the_usage() {
    let workspace = workspace();
    for arguments in [&[][..], &["wirte"], &["check", "-p"], &["serve", "-p", "demo"]] {
        let (code, text) = run(&workspace, arguments);
        assert_eq!(code, Some(2), "{text}");
        assert!(text.starts_with("usage:"), "{text}");
    }
}
