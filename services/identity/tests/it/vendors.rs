//! Vendors that a test controls: they remember what was sent, and answer as told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};

/// What both vendors share with the test.
#[derive(Clone, Default)]
pub(crate) struct Vendors {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    messages: Vec<(String, String)>,
    /// Of messages: one that comes again is delivered once.
    ids: std::collections::HashSet<String>,
    sms_down: bool,
    register_down: bool,
    verdicts: VecDeque<&'static str>,
    checks: usize,
    tickets: Vec<String>,
    captcha_down: bool,
}

impl Vendors {
    /// Starts both on a free port; returns the address.
    pub(crate) async fn start(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new()
            .route("/sms", post(sms))
            .route("/check", post(check))
            .route("/captcha", post(captcha))
            .with_state(self.clone());
        #[expect(clippy::disallowed_methods, reason = "lives as long as the test's runtime")]
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        address
    }

    /// Texts sent to a phone, oldest first.
    pub(crate) fn texts(&self, phone: &str) -> Vec<String> {
        let inner = self.inner.lock().unwrap();
        inner.messages.iter().filter(|(to, _)| to == phone).map(|(_, text)| text.clone()).collect()
    }

    /// The last code sent to a phone; a notice may have come after it.
    pub(crate) fn code(&self, phone: &str) -> String {
        // A notice may have come after it.
        let texts = self.texts(phone);
        let digits = |text: &String| {
            let runs = text.split(|c: char| !c.is_ascii_digit()).find(|run| run.len() == 6);
            runs.map(str::to_owned)
        };
        texts.iter().rev().find_map(digits).expect("a code of six digits was sent")
    }

    pub(crate) fn sms_down(&self, down: bool) {
        self.inner.lock().unwrap().sms_down = down;
    }

    /// What the vendor of captchas will let pass, once.
    pub(crate) fn give_ticket(&self, ticket: &str) {
        self.inner.lock().unwrap().tickets.push(ticket.to_owned());
    }

    pub(crate) fn captcha_down(&self, down: bool) {
        self.inner.lock().unwrap().captcha_down = down;
    }

    pub(crate) fn register_down(&self, down: bool) {
        self.inner.lock().unwrap().register_down = down;
    }

    /// The next answers of the register; `01` when there are none left.
    pub(crate) fn answer(&self, verdicts: &[&'static str]) {
        self.inner.lock().unwrap().verdicts.extend(verdicts);
    }

    pub(crate) fn checks(&self) -> usize {
        self.inner.lock().unwrap().checks
    }
}

async fn sms(State(vendors): State<Vendors>, Json(body): Json<Value>) -> (StatusCode, Json<Value>) {
    let mut inner = vendors.inner.lock().unwrap();
    if inner.sms_down {
        return (StatusCode::SERVICE_UNAVAILABLE, Json(json!({})));
    }
    let text = |key: &str| body[key].as_str().unwrap().to_owned();
    if body["id"].is_string() && !inner.ids.insert(text("id")) {
        return (StatusCode::OK, Json(json!({"code": "0"})));
    }
    inner.messages.push((text("mobile"), text("content")));
    (StatusCode::OK, Json(json!({"code": "0"})))
}

async fn check(State(vendors): State<Vendors>, Json(_): Json<Value>) -> (StatusCode, Json<Value>) {
    let mut inner = vendors.inner.lock().unwrap();
    inner.checks += 1;
    if inner.register_down {
        return (StatusCode::SERVICE_UNAVAILABLE, Json(json!({})));
    }
    let result = inner.verdicts.pop_front().unwrap_or("01");
    (StatusCode::OK, Json(json!({"result": result})))
}

async fn captcha(
    State(vendors): State<Vendors>,
    Json(body): Json<Value>,
) -> (StatusCode, Json<Value>) {
    let mut inner = vendors.inner.lock().unwrap();
    if inner.captcha_down {
        return (StatusCode::SERVICE_UNAVAILABLE, Json(json!({})));
    }
    let place = inner.tickets.iter().position(|ticket| body["ticket"] == *ticket);
    let code = place.map_or(8, |place| {
        inner.tickets.swap_remove(place);
        1
    });
    (StatusCode::OK, Json(json!({"code": code})))
}
