//! The stand-ins for the outside world, seen from outside.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::Site;
use super::http::Http;

/// The simulators of a suite.
#[derive(Clone, Debug)]
pub(crate) struct Simulators {
    http: Http,
    base: String,
}

impl Simulators {
    pub(crate) fn of(site: &Site) -> Self {
        Self { http: Http::new(), base: format!("http://{}", site.addresses.simulators) }
    }

    /// The texts that a phone (11 digits) was sent, newest first.
    pub(crate) async fn texts(&self, phone: &str) -> Vec<String> {
        let text = |message: &Value| message["text"].as_str().unwrap().to_owned();
        self.messages(phone).await.iter().map(text).collect()
    }

    /// The newest code that a phone was sent.
    pub(crate) async fn code(&self, phone: &str) -> String {
        let messages = self.messages(phone).await;
        let mut codes = messages.iter().filter_map(|message| message["code"].as_str());
        codes.next().unwrap_or_else(|| panic!("no code was sent")).to_owned()
    }

    async fn messages(&self, phone: &str) -> Vec<Value> {
        let answer = self.http.get(&format!("{}/sms?phone={phone}", self.base)).await;
        assert_eq!(answer.status, StatusCode::OK);
        answer.json().as_array().unwrap().clone()
    }

    /// How many text messages were sent since the start.
    pub(crate) async fn sms_sent(&self) -> u64 {
        self.counters().await["sms_sent"].as_u64().unwrap()
    }

    /// How often the register was asked since the start.
    pub(crate) async fn real_name_checks(&self) -> u64 {
        self.counters().await["real_name_checks"].as_u64().unwrap()
    }

    async fn counters(&self) -> Value {
        self.http.get(&format!("{}/counters", self.base)).await.json()
    }

    /// Puts the real-name register out of order, or in order again (`ok`).
    pub(crate) async fn set_real_name(&self, state: &str) {
        self.set(&json!({ "real_name": state })).await;
    }

    /// Puts the vendor of text messages out of order, or in order again (`ok`).
    pub(crate) async fn set_sms(&self, state: &str) {
        self.set(&json!({ "sms": state })).await;
    }

    async fn set(&self, faults: &Value) {
        let url = format!("{}/faults", self.base);
        let headers = [("content-type", "application/json")];
        let body = faults.to_string().into_bytes();
        let answer = self.http.send(Method::PUT, &url, &headers, body).await.unwrap();
        assert_eq!(answer.status, StatusCode::OK);
    }
}
