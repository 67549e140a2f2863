//! A process that runs out of files.

use std::io::BufRead as _;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::served::Served;

/// The server of the test below, in a process of its own. The first line on standard
/// input has it take all files that are left, the second has it give them back.
#[test]
#[ignore = "started by a test, with few files"]
fn server() {
    tracing_subscriber::fmt().with_ansi(false).with_writer(std::io::stdout).init();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let served = runtime.block_on(Served::start(|_| ()));
    println!("address {}", served.address);
    let mut lines = std::io::stdin().lock().lines();
    lines.next().unwrap().unwrap();
    let taken: Vec<_> =
        std::iter::repeat_with(|| std::fs::File::open("/dev/null")).map_while(Result::ok).collect();
    println!("taken {}", taken.len());
    lines.next().unwrap().unwrap();
    drop(taken);
    println!("given back");
    let _killed = lines.next();
}

type Lines = tokio::io::Lines<BufReader<tokio::process::ChildStdout>>;

/// What the server said after a word; its first line has the name of the test before it.
async fn told(lines: &mut Lines, word: &str) -> String {
    loop {
        let line = lines.next_line().await.unwrap().unwrap();
        if let Some((_, rest)) = line.split_once(word) {
            return rest.trim().to_owned();
        }
    }
}

#[tokio::test]
async fn a_process_without_files_pauses_and_then_goes_on() {
    let mut child = Command::new("sh")
        .args(["-c", "ulimit -n 80; exec \"$0\" files::server --exact --ignored --nocapture"])
        .arg(std::env::current_exe().unwrap())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let process = child.id().unwrap();
    let mut orders = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let address = told(&mut lines, "address ").await;
    let channel = zhiyuan_rpc::connect_lazy(&format!("http://{address}")).unwrap();
    let mut health = HealthClient::new(channel);
    let mut serves = async || {
        let check = health.check(HealthCheckRequest::default());
        let answer = tokio::time::timeout(Duration::from_secs(10), check).await;
        answer.is_ok_and(|answer| answer.is_ok_and(|answer| answer.get_ref().status == 1))
    };

    // Twice as many connections as half of the files.
    let mut flood = Vec::new();
    for _ in 0..80 {
        flood.push(TcpStream::connect(&address).await.unwrap());
    }
    assert!(serves().await);
    let open = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap().count();
    assert!(open <= 60, "{open} of 80 files are open");
    drop(flood);

    // Nothing is left, and no connection that could make room.
    tokio::time::sleep(Duration::from_millis(500)).await;
    orders.write_all(b"take\n").await.unwrap();
    let taken: usize = told(&mut lines, "taken ").await.parse().unwrap();
    assert!(taken > 20, "{taken}");
    let mut waiting = Vec::new();
    for _ in 0..10 {
        waiting.push(TcpStream::connect(&address).await.unwrap());
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    orders.write_all(b"give back\n").await.unwrap();
    let mut failures = 0;
    loop {
        let line = lines.next_line().await.unwrap().unwrap();
        failures += usize::from(line.contains("no connection accepted"));
        if line.contains("given back") {
            break;
        }
    }
    // Once, and after 20, 40, 80 … milliseconds; without a pause thousands.
    assert!((1..50).contains(&failures), "tried {failures} times in two seconds");
    let mut again =
        HealthClient::new(zhiyuan_rpc::connect_lazy(&format!("http://{address}")).unwrap());
    let check = again.check(HealthCheckRequest::default());
    let answered = tokio::time::timeout(Duration::from_secs(10), check).await;
    assert_eq!(answered.unwrap().unwrap().get_ref().status, 1);
}
