//! What the terminal shows.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "talking to the person at the terminal"
)]

use std::path::Path;
use std::time::Duration;

use zhiyuan_standalone::pages::Pages;
use zhiyuan_standalone::{Administrator, RunningSuite};

/// A line of progress.
pub(crate) fn step(what: &str) {
    println!("  · {what}");
}

/// Why it did not work.
pub(crate) fn failure(error: &anyhow::Error) {
    eprintln!("\n✗ {error:#}");
}

/// Everything runs: where, and what to try.
pub(crate) fn ready(suite: &RunningSuite, pages: &Pages, log: &Path, took: Duration) {
    let addresses = suite.addresses();
    let (gateway, simulators) = (addresses.gateway, addresses.simulators);
    let config = suite.files().of("identity");
    println!(
        r#"
✓ 志愿 Zhiyuan is ready after {took:.1?}

  Pages        {pages}
  Gateway      http://{gateway}      gRPC, and Connect (JSON) for curl
  Simulators   http://{simulators}      text messages and the real-name register
  Services     identity {identity} · orgtree {orgtree} · registration {registration}
  PostgreSQL   127.0.0.1:{postgres} (private; durable)
  Configs      {configs}
  Log          {log}

  Register a person of Anhui. Ask for a code:

    curl -s http://{gateway}/zhiyuan.identity.v1.SmsCodeService/SendSmsCode \
      -H 'content-type: application/json' \
      -d '{{"phone":"13800000001","purpose":"SMS_PURPOSE_REGISTER"}}'

  Read it:  curl -s 'http://{simulators}/sms?phone=13800000001'
  The rest of the way stands in README.md.

  Follow what changes, as an internal platform does (its key: {key}):

    cargo run --{port} follow registration        or orgtree
    cargo run --{port} count AH                   how many volunteers, of the province and below
"#,
        pages = match (pages, suite.has_pages()) {
            (Pages::Built(_), _) =>
                format!("http://{gateway}/     注册页面: register in a browser"),
            (Pages::Missing(why), true) =>
                format!("http://{gateway}/     those of this program's own build: {why}"),
            (Pages::Missing(why), false) => format!("none: {why}"),
        },
        identity = addresses.identity,
        orgtree = addresses.orgtree,
        registration = addresses.registration,
        postgres = suite.postgres().port(),
        configs = config.parent().unwrap_or(&config).display(),
        key = suite.files().key().display(),
        port = match addresses.gateway.port() {
            8080 => String::new(),
            port => format!(" --port {port}"),
        },
        log = log.display(),
    );
}

/// Who administers the province, and how they sign in; or why nobody does.
pub(crate) fn administrator(suite: &RunningSuite, made: anyhow::Result<Administrator>) {
    match made {
        Ok(administrator) => {
            let Administrator { phone, password, organization, .. } = &administrator;
            let (gateway, simulators) = (suite.addresses().gateway, suite.addresses().simulators);
            println!(
                r#"  The first administrator of the province ({organization}) was registered like anybody else:

    phone {phone}   password {password}

  The console 管理台, where the pages are: http://{gateway}/console, with password and code; the code
  stands at http://{simulators}. Or by hand: ask for one (one a minute), read it, send both.

    curl -s http://{gateway}/zhiyuan.identity.v1.SmsCodeService/SendSmsCode \
      -H 'content-type: application/json' \
      -d '{{"phone":"{phone}","purpose":"SMS_PURPOSE_SIGN_IN"}}'
    curl -s 'http://{simulators}/sms?phone={phone}'
    curl -s http://{gateway}/zhiyuan.identity.v1.SignInService/SignIn \
      -H 'content-type: application/json' \
      -d '{{"identifier":"{phone}","password":"{password}","smsChallengeId":"…","smsCode":"…"}}'

  With `authorization: Bearer` and the access token of the answer, zhiyuan.orgtree.v1.AuthorityService
  lists, makes and ends grants: ListMyGrants, ListGrants, CreateGrant, RevokeGrant. InvitationService
  beside it makes codes for others: CreateInvitation, AcceptInvitation, ConfirmInvitation. Who registers
  with a rare character in the name, such as 𠮷, waits for zhiyuan.registration.v1.ReviewService:
  ListReviews, RevealReview, DecideReview.
"#
            );
        }
        Err(error) => {
            println!("  There is no administrator yet, the next start tries again: {error:#}\n")
        }
    }
    println!("  Ctrl-C stops everything, PostgreSQL included; `--fresh` forgets what was kept.\n");
}
