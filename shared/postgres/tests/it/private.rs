use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tempfile::TempDir;
use zhiyuan_postgres::private::{self, Error, Options, PrivateServer};

use crate::server::{connect, sqlstate};

fn folder() -> TempDir {
    tempfile::Builder::new().prefix("zhiyuan-private-").tempdir().unwrap()
}

async fn start(data_dir: &Path) -> Result<PrivateServer, Error> {
    let options = Options { data_dir: data_dir.to_owned(), durable: false };
    PrivateServer::start(options, |_| ()).await
}

async fn rows(server: &PrivateServer) -> i64 {
    let mut admin = connect(&server.admin_url("postgres")).await;
    sqlx::query_scalar("SELECT count(*) FROM kept").fetch_one(&mut admin).await.unwrap()
}

async fn write_a_row(server: &PrivateServer) {
    let mut admin = connect(&server.admin_url("postgres")).await;
    let sql = "CREATE TABLE kept (id int); INSERT INTO kept VALUES (1); CHECKPOINT";
    assert_eq!(sqlstate(&mut admin, sql).await, "ok");
}

fn postmaster_pid(data_dir: &Path) -> u32 {
    let file = fs::read_to_string(data_dir.join("cluster/postmaster.pid")).unwrap();
    file.lines().next().unwrap().parse().unwrap()
}

fn signal(pid: u32, name: &str) {
    assert!(Command::new("kill").args([name, &pid.to_string()]).status().unwrap().success());
}

fn wait_until_gone(path: &Path) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while path.exists() {
        assert!(Instant::now() < deadline, "{} is still there", path.display());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[tokio::test]
async fn keeps_its_data_from_one_start_to_the_next() {
    let data = folder();
    let server = start(data.path()).await.unwrap();
    write_a_row(&server).await;
    let password = data.path().join("superuser.password");
    assert_eq!(fs::metadata(&password).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(server.log_file().exists());
    server.stop().await.unwrap();
    assert!(!data.path().join("cluster/postmaster.pid").exists());

    let server = start(data.path()).await.unwrap();
    assert_eq!(rows(&server).await, 1);
    drop(server);
    assert!(!data.path().join("cluster/postmaster.pid").exists());
}

#[tokio::test]
async fn recovers_from_a_crash() {
    let data = folder();
    let options = Options { data_dir: data.path().to_owned(), durable: true };
    let server = PrivateServer::start(options, |_| ()).await.unwrap();
    write_a_row(&server).await;
    signal(postmaster_pid(data.path()), "-KILL");
    server.stop().await.unwrap();
    assert!(data.path().join("cluster/postmaster.pid").exists(), "a crash leaves the pid file");

    let server = start(data.path()).await.unwrap();
    assert_eq!(rows(&server).await, 1);
}

#[tokio::test]
async fn a_second_server_on_the_same_folder_is_told_who_holds_it() {
    let data = folder();
    let _server = start(data.path()).await.unwrap();
    match start(data.path()).await.unwrap_err() {
        Error::InUse { pid, .. } => assert_eq!(pid.unsigned_abs(), std::process::id()),
        other => panic!("{other}"),
    }
    assert!(matches!(private::remove(data.path()), Err(Error::InUse { .. })));
}

#[tokio::test]
async fn a_pid_file_left_by_a_stranger_does_not_matter() {
    let data = folder();
    start(data.path()).await.unwrap().stop().await.unwrap();
    // As after a restart of the machine: the number now belongs to another process.
    let pid_file = data.path().join("cluster/postmaster.pid");
    fs::write(&pid_file, format!("{}\n", std::process::id())).unwrap();
    start(data.path()).await.unwrap();
}

#[tokio::test]
async fn an_interrupted_first_start_is_begun_again() {
    let data = folder();
    fs::create_dir(data.path().join("cluster.new")).unwrap();
    fs::write(data.path().join("cluster.new/half"), "").unwrap();
    fs::write(data.path().join("superuser.password"), "of the first attempt").unwrap();
    start(data.path()).await.unwrap();
}

#[tokio::test]
async fn removing_deletes_what_is_ours_and_leaves_the_rest() {
    let data = folder();
    start(data.path()).await.unwrap().stop().await.unwrap();
    fs::write(data.path().join("notes.txt"), "mine").unwrap();
    private::remove(data.path()).unwrap();
    let left: Vec<_> = fs::read_dir(data.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["notes.txt"]);
    private::remove(&data.path().join("never-there")).unwrap();
}

#[tokio::test]
async fn a_server_that_can_not_start_shows_the_end_of_its_log() {
    let data = folder();
    start(data.path()).await.unwrap().stop().await.unwrap();
    fs::remove_file(data.path().join("cluster/global/pg_control")).unwrap();
    match start(data.path()).await.unwrap_err() {
        Error::Exited { tail, .. } => assert!(tail.contains("pg_control"), "{tail}"),
        other => panic!("{other}"),
    }
}

/// Only root has another user run the server, who then may not get as far as into the folder.
#[tokio::test]
async fn data_that_user_postgres_can_not_enter_go_elsewhere_and_are_found_again() {
    let parent = folder();
    fs::set_permissions(parent.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let data = parent.path().join("deep/data");
    let told = Arc::new(Mutex::new(String::new()));
    let listener = Arc::clone(&told);
    let options = Options { data_dir: data.clone(), durable: false };
    let server = PrivateServer::start(options, move |line| listener.lock().unwrap().push_str(line))
        .await
        .unwrap();
    write_a_row(&server).await;
    server.stop().await.unwrap();

    let note = data.join("LOCATION");
    assert_eq!(note.exists(), is_root());
    if is_root() {
        let base = PathBuf::from(fs::read_to_string(&note).unwrap().trim());
        assert!(told.lock().unwrap().contains(base.to_str().unwrap()));
        let server = start(&data).await.unwrap();
        assert_eq!(rows(&server).await, 1);
        server.stop().await.unwrap();

        let aside = base.with_extension("aside");
        fs::rename(&base, &aside).unwrap();
        assert!(matches!(start(&data).await, Err(Error::Missing { .. })));
        fs::rename(&aside, &base).unwrap();
        private::remove(&data).unwrap();
        assert!(!base.exists());
    } else {
        private::remove(&data).unwrap();
    }
    assert!(!data.exists());
}

/// Runs in a process of its own, started by the test below.
#[tokio::test]
#[ignore = "the child of the_server_ends_with_a_process_that_is_killed"]
async fn child_that_waits_to_be_killed() {
    let data = std::env::var_os("ZHIYUAN_TEST_DATA").map(PathBuf::from).expect("run by its parent");
    // From a thread that ends at once: the server must survive that, and not survive the process.
    let server = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(start(&data)).unwrap()
    });
    let server = server.join().unwrap();
    write_a_row(&server).await;
    let ready = PathBuf::from(std::env::var_os("ZHIYUAN_TEST_READY").unwrap());
    fs::write(ready, "").unwrap();
    std::future::pending::<()>().await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_server_ends_with_a_process_that_is_killed() {
    let data = folder();
    let ready = data.path().join("ready");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "private::child_that_waits_to_be_killed"])
        .env("ZHIYUAN_TEST_DATA", data.path())
        .env("ZHIYUAN_TEST_READY", &ready)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !ready.exists() {
        assert!(child.try_wait().unwrap().is_none(), "the child ended early");
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // Starting at once waits for the orphan to end.
    let server = start(data.path()).await.unwrap();
    assert_eq!(rows(&server).await, 1);
    server.stop().await.unwrap();
    wait_until_gone(&data.path().join("cluster/postmaster.pid"));
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0)
}
