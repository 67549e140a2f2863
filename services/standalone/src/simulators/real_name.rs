//! The real-name register, whose answer is decided by the name.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::faults::RealNameFault;
use super::{Fault, SLOW, Simulators, lock, read};

/// How long a check that is never answered holds the connection.
const HOLD: Duration = Duration::from_secs(60);
/// Checks of a number that 稍后 refuses.
const LATER: u8 = 2;
/// Numbers whose refused checks are remembered.
const NUMBERS: usize = 100_000;

/// What the register remembers: how often a number was told to come later.
#[derive(Default)]
pub(super) struct Register(HashMap<String, u8>);

impl Register {
    /// Tells whether this check of the number is one of the first two.
    fn come_later(&mut self, id_number: &str) -> bool {
        if self.0.len() >= NUMBERS && !self.0.contains_key(id_number) {
            self.0.clear();
        }
        let refused = self.0.entry(id_number.to_owned()).or_default();
        if *refused >= LATER {
            return false;
        }
        *refused += 1;
        true
    }
}

#[derive(Deserialize)]
struct Check {
    name: String,
    id_number: String,
}

/// What a name leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Rule {
    Answer(&'static str, &'static str),
    Never,
    Later,
}

/// Finds the rule for a name, the first that fits.
pub(super) fn rule(name: &str) -> Rule {
    let name = name.trim();
    if name.ends_with("不符") {
        Rule::Answer("02", "不一致")
    } else if name.ends_with("无号") {
        Rule::Answer("03", "库中无此号")
    } else if name.ends_with("超时") {
        Rule::Never
    } else if name.ends_with("稍后") {
        Rule::Later
    } else if name.chars().any(|c| c > '\u{FFFF}') {
        Rule::Answer("04", "无法判定")
    } else {
        MATCH
    }
}

const MATCH: Rule = Rule::Answer("01", "一致");

pub(super) async fn check(
    State(simulators): State<Simulators>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, Fault> {
    simulators.0.real_name_checks.fetch_add(1, Ordering::Relaxed);
    match simulators.faults().real_name {
        RealNameFault::Ok => {}
        RealNameFault::Down => return Err(Fault::DOWN),
        RealNameFault::Slow => simulators.pass(SLOW).await,
    }
    let check: Check = read(body)?;
    let id_number = check.id_number.trim();
    if check.name.trim().is_empty() || id_number.is_empty() {
        return Err(Fault(StatusCode::BAD_REQUEST, "name 和 id_number 都不能为空"));
    }
    let mut rule = rule(&check.name);
    if rule == Rule::Later && !lock(&simulators.0.register).come_later(id_number) {
        rule = MATCH;
    }
    match rule {
        Rule::Answer(result, message) => {
            Ok(Json(serde_json::json!({ "result": result, "message": message })))
        }
        Rule::Later => Err(Fault::DOWN),
        Rule::Never => {
            simulators.pass(HOLD).await;
            Err(Fault(StatusCode::GATEWAY_TIMEOUT, "查询超时"))
        }
    }
}
