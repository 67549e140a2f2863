//! Who has lost everything but the old phone objects by it.

use super::*;

#[tokio::test]
async fn a_code_to_the_old_phone_is_enough_to_object() {
    let case = Case::approved().await;
    let (old, stranger) = (case.person.mobile.clone(), "13812340000");
    // A code for something else is none for this, nor one to another phone.
    let purpose = SmsPurpose::ObjectToRecovery;
    let other = case.object_by_code(&old, SmsPurpose::SignIn).await;
    assert_eq!(refused(other), "SMS_CODE_WRONG");
    for phone in [stranger, NEW_PHONE] {
        let told = case.object_by_code(phone, purpose).await;
        assert_eq!(refused(told), "RECOVERY_NOT_FOUND", "{phone}");
    }
    assert_eq!(case.state().await, PhoneRecoveryState::Approved);
    case.object_by_code(&old, purpose).await.unwrap();
    assert_eq!(case.state().await, PhoneRecoveryState::Objected);
    assert_eq!(refused(case.object_by_code(&old, purpose).await), "RECOVERY_NOT_FOUND");
}

#[tokio::test]
async fn who_uses_up_the_codes_of_a_phone_keeps_nobody_from_objecting() {
    let case = Case::approved().await;
    let old = case.person.mobile.clone();
    // No more codes today, for whatever purpose.
    sqlx::query("UPDATE identity.sms_phone SET sent_at = array_fill($1::timestamptz, ARRAY[10])")
        .bind(zhiyuan_domain::Clock::now(case.identity.clock.as_ref()))
        .execute(&case.identity.pool)
        .await
        .unwrap();
    let purpose = SmsPurpose::ObjectToRecovery;
    let none = case.identity.try_send_code_for(&old, purpose).await.unwrap_err();
    assert_eq!(crate::codes::reason(&none), "SMS_DAILY_LIMIT");
    // The notices brought one, and the new phone has none.
    let codes = |phone: &str| -> Vec<String> {
        let texts = case.identity.vendors.texts(phone);
        texts.iter().filter_map(|text| Some(text.split_once("异议码：")?.1.to_owned())).collect()
    };
    assert!(codes(NEW_PHONE).is_empty());
    let [started, approved] = codes(&old).try_into().unwrap();
    assert_eq!((&started, started.len()), (&approved, 10));
    let object = async |phone: &str, code: &str| {
        let request = ObjectToPhoneRecoveryByNoticeRequest {
            phone: phone.to_owned(),
            objection_code: code.to_owned(),
        };
        case.client().object_to_phone_recovery_by_notice(request).await.map(|_done| ())
    };
    let wrong = if started == "0000000000" { "0000000001" } else { "0000000000" };
    for (phone, code) in [(&*old, wrong), (NEW_PHONE, &*started), ("13812340000", &*started)] {
        assert_eq!(refused(object(phone, code).await), "RECOVERY_NOT_FOUND");
    }
    assert_eq!(refused(object(&old, "123456789").await), "INVALID_FIELDS");
    assert_eq!(case.state().await, PhoneRecoveryState::Approved);
    object(&old, &started).await.unwrap();
    object(&old, &format!(" {started} ")).await.unwrap();
    assert_eq!(case.state().await, PhoneRecoveryState::Objected);
}
