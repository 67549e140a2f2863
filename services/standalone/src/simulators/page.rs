//! The page for people: messages, rules, switches.

use std::fmt::Write as _;

use axum::extract::State;
use axum::http::header;
use axum::response::{Html, IntoResponse};
use time::macros::format_description;

use super::faults::{Faults, RealNameFault, SmsFault};
use super::sms::Message;
use super::{Simulators, lock};

/// The parts that don't change. `{{messages}}`, `{{sms}}` and `{{real_name}}` are filled in.
const TEMPLATE: &str = include_str!("page.html");

/// Nothing from elsewhere is loaded, whatever a message says.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; \
                      script-src 'unsafe-inline'; connect-src 'self'; frame-ancestors 'none'";

pub(super) async fn show(State(simulators): State<Simulators>) -> impl IntoResponse {
    let messages = lock(&simulators.0.inbox).latest();
    let page = render(&messages, simulators.faults());
    let headers = [(header::CONTENT_SECURITY_POLICY, POLICY), (header::CACHE_CONTROL, "no-store")];
    (headers, Html(page))
}

pub(super) fn render(messages: &[Message], faults: Faults) -> String {
    let sms = [
        ("ok", "正常", faults.sms == SmsFault::Ok),
        ("down", "停机", faults.sms == SmsFault::Down),
        ("slow", "缓慢", faults.sms == SmsFault::Slow),
        ("reject", "拒发", faults.sms == SmsFault::Reject),
    ];
    let real_name = [
        ("ok", "正常", faults.real_name == RealNameFault::Ok),
        ("down", "停机", faults.real_name == RealNameFault::Down),
        ("slow", "缓慢", faults.real_name == RealNameFault::Slow),
    ];
    // The messages last: their text is not searched for places to fill in.
    TEMPLATE
        .replace("{{sms}}", &buttons("sms", &sms))
        .replace("{{real_name}}", &buttons("real_name", &real_name))
        .replace("{{messages}}", &rows(messages))
}

fn buttons(vendor: &str, states: &[(&str, &str, bool)]) -> String {
    states.iter().fold(String::new(), |mut html, (state, label, pressed)| {
        let _ = write!(
            html,
            r#"<button data-vendor="{vendor}" data-state="{state}" aria-pressed="{pressed}">{label}</button>"#
        );
        html
    })
}

fn rows(messages: &[Message]) -> String {
    if messages.is_empty() {
        return r#"<tr><td colspan="4" class="none">还没有短信</td></tr>"#.to_owned();
    }
    let clock = format_description!("[hour]:[minute]:[second]");
    messages.iter().fold(String::new(), |mut html, message| {
        let _ = write!(
            html,
            "<tr><td>{}</td><td>{}</td><td class=\"code\">{}</td><td>{}</td></tr>",
            message.sent_at.format(clock).unwrap_or_default(),
            escape(&message.phone),
            message.code.as_deref().map(escape).unwrap_or_default(),
            escape(&message.text),
        );
        html
    })
}

fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut html, c| {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            other => html.push(other),
        }
        html
    })
}
