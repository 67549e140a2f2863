//! What somebody else's client makes of us, in another language.

use std::path::Path;
use std::process::Command;

use crate::harness::client::PASSWORD;
use crate::harness::{caller, shared};

/// Runs an example, which is to say this at its end.
async fn example(name: &str, arguments: &[&str], end: &str) {
    let Ok(python) = std::env::var("ZHIYUAN_PYTHON") else {
        panic!("set ZHIYUAN_PYTHON to a python with what .ci/install puts into its venv");
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/examples").join(name);
    let mut check = Command::new(python);
    check.arg(script).args(arguments);
    let done = tokio::task::spawn_blocking(move || check.output().unwrap()).await.unwrap();
    let told = String::from_utf8_lossy(&done.stdout) + String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && told.contains(end), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Python with PyJWT, which `.ci/run` installs and names by ZHIYUAN_PYTHON"]
async fn pyjwt_takes_our_tokens_by_our_jwks_and_refuses_a_forged_one() {
    let site = shared();
    let person = caller::registered(&site).await;
    let gateway = format!("http://{}", site.addresses.gateway);
    let arguments = ["--gateway", &gateway, "--phone", &person.mobile, "--password", PASSWORD];
    example("check_token.py", &arguments, "checked, and signed out").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Python with PyJWT and grpcio, which `.ci/run` installs and names by ZHIYUAN_PYTHON"]
async fn a_platform_in_python_looks_somebody_up_binds_an_id_and_follows_the_feed() {
    let site = shared();
    let person = caller::registered(&site).await;
    let (gateway, key) = (site.addresses.gateway.to_string(), site.files.key());
    let key = key.to_str().unwrap();
    let arguments = ["--gateway", &gateway, "--key", key, "--phone", &person.mobile];
    example("look_up.py", &arguments, "followed ").await;
}
