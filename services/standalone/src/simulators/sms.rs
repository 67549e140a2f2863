//! The vendor of text messages, and the inboxes of its phones.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::Ordering;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use time::macros::offset;
use zhiyuan_domain::{Mobile, new_id};

use super::faults::SmsFault;
use super::{Fault, SLOW, Simulators, lock, read};

/// Messages kept for a phone.
const MESSAGES: usize = 100;
/// Phones kept.
const PHONES: usize = 200_000;
/// Messages on the page.
const LATEST: usize = 50;
/// Ids of messages that are known, so that each is delivered once.
const IDS: usize = 100_000;

/// A message that was "sent".
#[derive(Clone, Serialize)]
pub(super) struct Message {
    /// 11 digits.
    pub(super) phone: String,
    pub(super) text: String,
    pub(super) code: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub(super) sent_at: OffsetDateTime,
}

/// The messages of all phones, within bounds: a load test must not eat the machine.
#[derive(Default)]
pub(super) struct Inbox {
    phones: HashMap<String, VecDeque<Message>>,
    /// The phones in the order of their first message.
    order: VecDeque<String>,
    latest: VecDeque<Message>,
    /// What was delivered, also in the order of delivery.
    ids: HashSet<String>,
    delivered: VecDeque<String>,
}

impl Inbox {
    /// Delivers a message, unless one of its id was.
    pub(super) fn deliver(&mut self, id: String, message: Message) -> bool {
        if !id.is_empty() {
            if !self.ids.insert(id.clone()) {
                return false;
            }
            self.delivered.push_back(id);
            if self.delivered.len() > IDS
                && let Some(first) = self.delivered.pop_front()
            {
                self.ids.remove(&first);
            }
        }
        self.insert(message);
        true
    }

    pub(super) fn insert(&mut self, message: Message) {
        if !self.phones.contains_key(&message.phone) {
            if self.order.len() >= PHONES
                && let Some(first) = self.order.pop_front()
            {
                self.phones.remove(&first);
            }
            self.order.push_back(message.phone.clone());
        }
        self.latest.push_front(message.clone());
        self.latest.truncate(LATEST);
        let messages = self.phones.entry(message.phone.clone()).or_default();
        messages.push_front(message);
        messages.truncate(MESSAGES);
    }

    /// Returns the messages of a phone (11 digits), newest first.
    pub(super) fn of(&self, phone: &str) -> Vec<Message> {
        self.phones
            .get(phone)
            .map(|messages| messages.iter().cloned().collect())
            .unwrap_or_default()
    }

    /// Returns the latest messages of all phones, newest first.
    pub(super) fn latest(&self) -> Vec<Message> {
        self.latest.iter().cloned().collect()
    }
}

#[derive(Deserialize)]
pub(super) struct Send {
    mobile: String,
    content: String,
    #[serde(default)]
    sign: String,
    /// Of the message: one that is sent again under its id is delivered once.
    #[serde(default)]
    id: String,
}

#[derive(Deserialize)]
pub(super) struct Owner {
    phone: Option<String>,
}

pub(super) async fn send(
    State(simulators): State<Simulators>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, Fault> {
    let faults = simulators.faults();
    if faults.sms == SmsFault::Down {
        return Err(Fault::DOWN);
    }
    if headers.get("x-app-key").is_none_or(|key| key.is_empty()) {
        return Err(Fault(StatusCode::UNAUTHORIZED, "缺少请求头 x-app-key"));
    }
    let send: Send = read(body)?;
    let Ok(mobile) = Mobile::parse(&send.mobile) else {
        return Err(Fault(StatusCode::BAD_REQUEST, "mobile 不是手机号"));
    };
    if faults.sms == SmsFault::Reject {
        return Ok(Json(serde_json::json!({ "code": "160", "msg": "短信被拒绝" })));
    }
    let text = match send.sign.trim() {
        "" => send.content.clone(),
        sign => format!("【{sign}】{}", send.content),
    };
    let message = Message {
        phone: mobile.national().to_owned(),
        text,
        code: code(&send.content),
        sent_at: simulators.0.clock.now().to_offset(offset!(+8)),
    };
    if lock(&simulators.0.inbox).deliver(send.id, message) {
        simulators.0.sms_sent.fetch_add(1, Ordering::Relaxed);
    }
    let id = new_id(&*simulators.0.clock).simple().to_string();
    if faults.sms == SmsFault::Slow {
        // After sending: the caller can't know whether the message went out, which is the case
        // that is hard to get right.
        simulators.pass(SLOW).await;
    }
    Ok(Json(serde_json::json!({ "code": "0", "msg": "ok", "smsid": id })))
}

pub(super) async fn list(
    State(simulators): State<Simulators>,
    Query(owner): Query<Owner>,
) -> Result<Json<Vec<Message>>, Fault> {
    // In a query `+86` that isn't encoded arrives as ` 86`, which `Mobile` takes too.
    let Some(Ok(mobile)) = owner.phone.as_deref().map(Mobile::parse) else {
        return Err(Fault(StatusCode::BAD_REQUEST, "请用参数 phone 给出手机号"));
    };
    let messages = lock(&simulators.0.inbox).of(mobile.national());
    Ok(Json(messages))
}

/// Finds the first 6 digits that are not part of a longer number.
pub(super) fn code(text: &str) -> Option<String> {
    text.split(|c: char| !c.is_ascii_digit()).find(|run| run.len() == 6).map(str::to_owned)
}
