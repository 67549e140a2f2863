//! The switches that put a vendor out of order.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use serde::{Deserialize, Serialize};

use super::{Fault, Simulators, lock, read};

/// How the vendors are.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Faults {
    pub(super) sms: SmsFault,
    pub(super) real_name: RealNameFault,
}

/// How the vendor of text messages is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum SmsFault {
    #[default]
    Ok,
    Down,
    Slow,
    Reject,
}

/// How the real-name register is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RealNameFault {
    #[default]
    Ok,
    Down,
    Slow,
}

/// A vendor that is left out stays as it is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Switch {
    sms: Option<SmsFault>,
    real_name: Option<RealNameFault>,
}

impl Simulators {
    pub(super) fn faults(&self) -> Faults {
        *lock(&self.0.faults)
    }
}

pub(super) async fn show(State(simulators): State<Simulators>) -> Json<Faults> {
    Json(simulators.faults())
}

pub(super) async fn switch(
    State(simulators): State<Simulators>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Faults>, Fault> {
    let switch: Switch = read(body)?;
    let mut faults = lock(&simulators.0.faults);
    faults.sms = switch.sms.unwrap_or(faults.sms);
    faults.real_name = switch.real_name.unwrap_or(faults.real_name);
    Ok(Json(*faults))
}
