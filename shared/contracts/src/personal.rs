//! `Debug` of messages that carry names, numbers, phones, codes and passwords.

use std::fmt::{Debug, Formatter, Result};

use crate::identity::v1::{BeginEnrolmentRequest, SendSmsCodeRequest};
use crate::registration::v1::RegisterRequest;

impl Debug for SendSmsCodeRequest {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("SendSmsCodeRequest").field("purpose", &self.purpose).finish_non_exhaustive()
    }
}

impl Debug for BeginEnrolmentRequest {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("BeginEnrolmentRequest")
            .field("enrolment_id", &self.enrolment_id)
            .finish_non_exhaustive()
    }
}

impl Debug for RegisterRequest {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        // Not even the `request_id`: it is the key to the registration.
        f.debug_struct("RegisterRequest")
            .field("region_code", &self.region_code)
            .field("organization_code", &self.organization_code)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_nothing_personal() {
        let form = RegisterRequest {
            name: "canary".into(),
            id_number: "canary".into(),
            phone: "canary".into(),
            sms_code: "canary".into(),
            password: "canary".into(),
            request_id: "canary".into(),
            ..Default::default()
        };
        assert!(!format!("{form:?}").contains("canary"));
    }
}
