//! Refusals: each told, the same again, and kept as long as it deserves.

use std::time::Duration;

use tonic::Code;
use zhiyuan_contracts::identity::v1::EnrolmentRefusal;

use crate::fake_identity::Verdict;
use crate::harness::{Recovery, Service, form, metadata, reason};

#[tokio::test]
async fn every_refusal_of_identity_is_told_and_the_same_again() {
    use EnrolmentRefusal as From;
    let service = Service::start(Recovery::Off).await;
    let table = [
        (From::SmsCodeWrong, Code::Unauthenticated, "SMS_CODE_WRONG"),
        (From::SmsCodeExpired, Code::Unauthenticated, "SMS_CODE_EXPIRED"),
        (From::SmsCodeUsed, Code::Unauthenticated, "SMS_CODE_USED"),
        (From::SmsCodeTriesExhausted, Code::ResourceExhausted, "SMS_CODE_TRIES_EXHAUSTED"),
        (From::ConsentMissing, Code::FailedPrecondition, "CONSENT_MISSING"),
        (From::ConsentOutdated, Code::FailedPrecondition, "CONSENT_OUTDATED"),
        (From::UnderAge, Code::FailedPrecondition, "UNDER_AGE"),
        (From::GuardianRequired, Code::FailedPrecondition, "GUARDIAN_REQUIRED"),
        (From::GuardianSmsCodeWrong, Code::Unauthenticated, "GUARDIAN_SMS_CODE_WRONG"),
        (From::GuardianSmsCodeExpired, Code::Unauthenticated, "GUARDIAN_SMS_CODE_EXPIRED"),
        (From::GuardianSmsCodeUsed, Code::Unauthenticated, "GUARDIAN_SMS_CODE_USED"),
        (
            From::GuardianSmsCodeTriesExhausted,
            Code::ResourceExhausted,
            "GUARDIAN_SMS_CODE_TRIES_EXHAUSTED",
        ),
        (From::GuardianIdMismatch, Code::FailedPrecondition, "GUARDIAN_ID_MISMATCH"),
        (From::ActivationProofOver, Code::Unauthenticated, "ACTIVATION_PROOF_OVER"),
        (From::IdNameMismatch, Code::FailedPrecondition, "ID_NAME_MISMATCH"),
        (From::IdNotFound, Code::FailedPrecondition, "ID_NOT_FOUND"),
        (From::IdCheckLimit, Code::ResourceExhausted, "ID_CHECK_LIMIT"),
        (From::IdCheckExpired, Code::FailedPrecondition, "ID_CHECK_EXPIRED"),
        (From::AlreadyRegistered, Code::AlreadyExists, "ALREADY_REGISTERED"),
    ];
    for (n, (refusal, code, expected)) in table.into_iter().enumerate() {
        service.identity.decide(Verdict::Refused(refusal));
        let form = form(u32::try_from(n).unwrap());
        let first = service.register(&form).await.unwrap_err();
        assert_eq!((first.code(), reason(&first).as_str()), (code, expected));
        assert!(!first.message().is_ascii());
        // Final: what identity says later changes nothing.
        service.identity.settle(&Verdict::Claimed);
        let calls = service.identity.with(|state| state.calls.len());
        for again in [
            service.register(&form).await.unwrap_err(),
            service.get(&form.request_id).await.unwrap_err(),
        ] {
            assert_eq!((again.code(), reason(&again).as_str()), (code, expected));
            assert_eq!(again.message(), first.message());
            assert_eq!(metadata(&again, "purpose"), metadata(&first, "purpose"));
        }
        assert_eq!(service.identity.with(|state| state.calls.len()), calls);
        service.identity.with(|state| state.enrolments.clear());
    }
    assert_eq!(service.sql("SELECT count(*) FROM registration.volunteer").await, "0");
}

#[tokio::test]
async fn a_corrected_form_with_a_new_request_id_registers() {
    let service = Service::start(Recovery::Off).await;
    service.identity.decide(Verdict::Refused(EnrolmentRefusal::IdNameMismatch));
    service.register(&form(1)).await.unwrap_err();
    service.identity.decide(Verdict::Claimed);
    service.register(&form(1)).await.unwrap();
}

#[tokio::test]
async fn a_refusal_before_the_code_was_right_is_forgotten_after_a_day() {
    use EnrolmentRefusal as From;
    let service = Service::start(Recovery::On).await;
    let early = [
        From::SmsCodeWrong,
        From::SmsCodeExpired,
        From::SmsCodeUsed,
        From::SmsCodeTriesExhausted,
        From::ConsentMissing,
        From::ConsentOutdated,
        From::UnderAge,
        From::GuardianRequired,
    ];
    let late = [
        From::IdNameMismatch,
        From::IdNotFound,
        From::IdCheckLimit,
        From::IdCheckExpired,
        From::AlreadyRegistered,
    ];
    for (n, refusal) in early.into_iter().chain(late).enumerate() {
        service.identity.decide(Verdict::Refused(refusal));
        service.register(&form(u32::try_from(n).unwrap())).await.unwrap_err();
    }
    let kept = "SELECT string_agg(refusal, ' ' ORDER BY refusal) FROM registration.registration
                WHERE refusal IS NOT NULL";
    let all = service.sql(kept).await;
    service.clock.advance(Duration::from_hours(23));
    let sweeps = service.identity.calls("list");
    service.until("sweeps", async |s| s.identity.calls("list") > sweeps + 2).await;
    assert_eq!(service.sql(kept).await, all);
    service.clock.advance(Duration::from_hours(2));
    let left = "ALREADY_REGISTERED ID_CHECK_EXPIRED ID_CHECK_LIMIT ID_NAME_MISMATCH ID_NOT_FOUND";
    service.until("early ones forgotten", async |s| s.sql(kept).await == left).await;
    service.clock.advance(Duration::from_hours(28 * 24));
    let sweeps = service.identity.calls("list");
    service.until("sweeps", async |s| s.identity.calls("list") > sweeps + 2).await;
    assert_eq!(service.sql(kept).await, left);
}
