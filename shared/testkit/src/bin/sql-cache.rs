//! Keeps `.sqlx` in step with the queries and the migrations; see the crate's README.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command for a terminal")]

use std::{io::Read as _, path::Path, process::ExitCode};

use anyhow::Result;
use tokio::signal::unix::{SignalKind, signal};
use zhiyuan_testkit::sql_cache;

const USAGE: &str = "usage: sql-cache serve | write [-p PACKAGE]… | check [-p PACKAGE]…";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.split_first() {
        Some((command, rest)) => match (command.as_str(), packages(rest)) {
            ("serve", Some(none)) if none.is_empty() => serve().await,
            ("write", Some(packages)) => write(&packages).await,
            ("check", Some(packages)) => check(&packages).await,
            _ => return usage(),
        },
        None => return usage(),
    };
    result.unwrap_or_else(|error| {
        eprintln!("{error:#}");
        ExitCode::FAILURE
    })
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
}

/// Reads `-p NAME -p NAME`.
fn packages(arguments: &[String]) -> Option<Vec<String>> {
    let pairs = arguments.chunks(2).map(|pair| match pair {
        [flag, name] if flag == "-p" => Some(name.clone()),
        _ => None,
    });
    pairs.collect()
}

async fn serve() -> Result<ExitCode> {
    let served = sql_cache::serve(Path::new(".")).await?;
    println!("DATABASE_URL={}", served.url());
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        () = end_of_input() => {}
    }
    served.stop().await?;
    Ok(ExitCode::SUCCESS)
}

/// Ends when whoever holds the other end of a pipe has gone. Any other input, such as /dev/null of
/// a shell's background job, says nothing about that.
async fn end_of_input() {
    let is_pipe = std::fs::metadata("/dev/stdin")
        .is_ok_and(|meta| std::os::unix::fs::FileTypeExt::is_fifo(&meta.file_type()));
    let (sender, receiver) = tokio::sync::oneshot::channel();
    if is_pipe {
        // A thread of its own: the runtime would wait for a blocking read when it ends.
        std::thread::spawn(move || {
            let mut ignored = [0; 256];
            while std::io::stdin().read(&mut ignored).is_ok_and(|length| length > 0) {}
            let _ = sender.send(());
        });
        let _ = receiver.await;
    } else {
        std::future::pending::<()>().await;
    }
}

async fn write(packages: &[String]) -> Result<ExitCode> {
    let differences = sql_cache::write(Path::new("."), packages).await?;
    for difference in &differences {
        println!("{difference}");
    }
    println!(".sqlx is up to date, {} files were not", differences.len());
    Ok(ExitCode::SUCCESS)
}

async fn check(packages: &[String]) -> Result<ExitCode> {
    let differences = sql_cache::check(Path::new("."), packages).await?;
    if differences.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    for difference in &differences {
        eprintln!("{difference}");
    }
    eprintln!(
        ".sqlx is not up to date: run `cargo run -p zhiyuan-testkit --bin sql-cache -- write` \
         and commit it"
    );
    Ok(ExitCode::FAILURE)
}
