//! What somebody else's client makes of us, in another language.

use std::path::Path;
use std::process::Command;

use crate::harness::client::PASSWORD;
use crate::harness::{caller, shared};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Python with PyJWT, which `.ci/run` installs and names by ZHIYUAN_PYTHON"]
async fn pyjwt_takes_our_tokens_by_our_jwks_and_refuses_a_forged_one() {
    let python = std::env::var("ZHIYUAN_PYTHON")
        .expect("set ZHIYUAN_PYTHON to a python that has PyJWT: pip install 'pyjwt[crypto]'");
    let site = shared();
    let person = caller::registered(&site).await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/examples/check_token.py");
    let mut check = Command::new(python);
    check.arg(script).args(["--gateway", &format!("http://{}", site.addresses.gateway)]);
    check.args(["--phone", &person.mobile, "--password", PASSWORD]);
    let done = tokio::task::spawn_blocking(move || check.output().unwrap()).await.unwrap();
    let told = String::from_utf8_lossy(&done.stdout) + String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && told.contains("checked, and signed out"), "{told}");
}
