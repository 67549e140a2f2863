#![doc = include_str!("README.md")]

mod faults;
mod page;
mod real_name;
mod sms;

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use zhiyuan_domain::SharedClock;

use faults::Faults;
use real_name::Register;
use sms::Inbox;

/// The largest body, in bytes.
const BODY: usize = 16 * 1024;
/// How late a slow vendor answers.
const SLOW: Duration = Duration::from_secs(10);
/// How long requests may take after the stop.
const DRAIN: Duration = Duration::from_secs(2);

/// The simulators. Clones are the same ones.
#[derive(Clone)]
pub struct Simulators(Arc<Shared>);

struct Shared {
    clock: SharedClock,
    stop: CancellationToken,
    faults: Mutex<Faults>,
    inbox: Mutex<Inbox>,
    register: Mutex<Register>,
    sms_sent: AtomicU64,
    real_name_checks: AtomicU64,
}

/// What happened since the start.
#[derive(Serialize)]
struct Counters {
    sms_sent: u64,
    real_name_checks: u64,
}

impl Simulators {
    /// Makes simulators with an empty inbox and no faults. `stop` ends the answers that are
    /// late on purpose.
    #[must_use]
    pub fn new(clock: SharedClock, stop: CancellationToken) -> Self {
        Self(Arc::new(Shared {
            clock,
            stop,
            faults: Mutex::default(),
            inbox: Mutex::default(),
            register: Mutex::default(),
            sms_sent: AtomicU64::new(0),
            real_name_checks: AtomicU64::new(0),
        }))
    }

    /// Serves on `listener` until the stop.
    ///
    /// # Errors
    /// The server fails.
    pub async fn serve(self, listener: TcpListener) -> io::Result<()> {
        let stop = self.0.stop.clone();
        let serving = axum::serve(listener, self.router())
            .with_graceful_shutdown(stop.clone().cancelled_owned())
            .into_future();
        let late = async {
            stop.cancelled().await;
            tokio::time::sleep(DRAIN).await;
        };
        tokio::select! {
            served = serving => served,
            // A client that never finishes its request must not hold up the end.
            () = late => Ok(()),
        }
    }

    /// Returns the routes.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/", get(page::show))
            .route("/sms", get(sms::list))
            .route("/sms/send", post(sms::send))
            .route("/real-name/check", post(real_name::check))
            .route("/faults", get(faults::show).put(faults::switch))
            .route("/counters", get(counters))
            .fallback(|| async { Fault(StatusCode::NOT_FOUND, "没有这个地址") })
            .layer(DefaultBodyLimit::max(BODY))
            .with_state(self.clone())
    }

    /// The last code that a phone (11 digits) was sent, as its owner reads it.
    #[must_use]
    pub fn last_code(&self, phone: &str) -> Option<String> {
        lock(&self.0.inbox).of(phone).into_iter().find_map(|message| message.code)
    }

    /// Lets `duration` pass, less if the process stops.
    async fn pass(&self, duration: Duration) {
        tokio::select! {
            () = tokio::time::sleep(duration) => {}
            () = self.0.stop.cancelled() => {}
        }
    }
}

/// Holds messages and numbers, of which nothing is shown.
impl std::fmt::Debug for Simulators {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Simulators").finish_non_exhaustive()
    }
}

async fn counters(State(simulators): State<Simulators>) -> Json<Counters> {
    Json(Counters {
        sms_sent: simulators.0.sms_sent.load(Ordering::Relaxed),
        real_name_checks: simulators.0.real_name_checks.load(Ordering::Relaxed),
    })
}

/// An answer that is no success.
struct Fault(StatusCode, &'static str);

impl Fault {
    /// A vendor that is down.
    const DOWN: Self = Self(StatusCode::SERVICE_UNAVAILABLE, "服务暂不可用");
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        (self.0, Json(serde_json::json!({ "error": self.1 }))).into_response()
    }
}

/// Reads a body; the answer to a bad one doesn't repeat it.
fn read<T: DeserializeOwned>(body: Result<Bytes, BytesRejection>) -> Result<T, Fault> {
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Fault(StatusCode::PAYLOAD_TOO_LARGE, "请求体超过 16 KiB"),
        status => Fault(status, "请求体没有传完"),
    })?;
    serde_json::from_slice(&body)
        .map_err(|_| Fault(StatusCode::BAD_REQUEST, "请求体不是所需格式的 JSON"))
}

/// What a panicking request leaves behind is still whole: every change is one insertion.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
