use time::macros::datetime;
use zhiyuan_contracts::identity::v1 as wire;

use super::*;

const NOW: OffsetDateTime = datetime!(2026-11-23 4:00 UTC);

fn request() -> RegisterRequest {
    RegisterRequest {
        request_id: "01938a6e-7c00-7abc-8def-0123456789ab".into(),
        name: "汪嘉懿".into(),
        id_number: "34182219980101005X".into(),
        region_code: "341822".into(),
        organization_code: "AH-341800-341822-341822100".into(),
        phone: "13907351842".into(),
        sms_challenge_id: "01938a6e-7c00-7abc-8def-0123456789ac".into(),
        sms_code: "135246".into(),
        password: "kz7-qm".into(),
        league_member: true,
        consents: vec![Consent { purpose: 1, version: "2026-11-01".into() }],
        ..Default::default()
    }
}

fn faults(request: &RegisterRequest) -> Vec<(String, String)> {
    let error = Form::parse(request, NOW, AgeRule::OnBirthday).unwrap_err();
    let status = tonic::Status::from(error);
    let details = tonic_types::StatusExt::get_error_details(&status);
    let bad = details.bad_request().unwrap();
    bad.field_violations.iter().map(|v| (v.field.clone(), v.reason.clone())).collect()
}

fn reasons(change: impl FnOnce(&mut RegisterRequest)) -> Vec<String> {
    let mut request = request();
    change(&mut request);
    faults(&request).into_iter().map(|(field, reason)| format!("{field} {reason}")).collect()
}

#[test]
fn an_empty_request_is_told_everything_at_once() {
    let fields: Vec<String> =
        faults(&RegisterRequest::default()).into_iter().map(|(field, _)| field).collect();
    let all = [
        "request_id",
        "name",
        "id_number",
        "region_code",
        "organization_code",
        "phone",
        "sms_challenge_id",
        "sms_code",
        "password",
    ];
    assert_eq!(fields, all);
}

#[test]
fn spelling_does_not_matter() {
    let mut spelled = request();
    spelled.id_number = " ３４１８２２１９９８０１０１００５ｘ".into();
    spelled.phone = "+86 139-0735-1842".into();
    spelled.sms_code = "１３５ 246".into();
    spelled.organization_code = "ah-341800-341822-341822100".into();
    let (one, other) = (
        Form::parse(&request(), NOW, AgeRule::OnBirthday).unwrap(),
        Form::parse(&spelled, NOW, AgeRule::OnBirthday).unwrap(),
    );
    let (Who::Applicant(applicant), Who::Applicant(same)) = (&one.who, &other.who) else {
        panic!("both are filled in");
    };
    assert_eq!(applicant.id_number, same.id_number);
    assert_eq!(applicant.phone, same.phone);
    assert_eq!(same.sms_code, "135246");
    assert_eq!(one.organization, other.organization);
}

#[test]
fn a_code_has_six_digits() {
    for code in ["", "12345", "1234567", "12345x", "一二三四五六", &"1".repeat(100_000)] {
        assert_eq!(reasons(|r| r.sms_code = code.into()), ["sms_code SMS_CODE_FORMAT"], "{code}");
    }
}

#[test]
fn a_request_id_is_random() {
    for id in ["00000000-0000-0000-0000-000000000000", "01938a6e-7c00-1abc-8def-0123456789ab"] {
        assert_eq!(reasons(|r| r.request_id = id.into()), ["request_id REQUEST_ID_VERSION"]);
    }
}

#[test]
fn a_consent_names_a_purpose_and_a_version() {
    let consent = |purpose, version: &str| vec![Consent { purpose, version: version.into() }];
    for purpose in [0, 99, -1] {
        assert_eq!(
            reasons(|r| r.consents = consent(purpose, "1")),
            ["consents[0].purpose CONSENT_PURPOSE_UNKNOWN"]
        );
    }
    for version in
        ["", "  ", "\0", "1\0", "1\n", " 1", "1\u{7f}", "1_2", "１", "一", &"1".repeat(65)]
    {
        assert_eq!(
            reasons(|r| r.consents = consent(1, version)),
            ["consents[0].version CONSENT_VERSION_INVALID"],
            "{version:?}"
        );
    }
    for version in ["1", "2026-11-01", "v2.Az-9", &"1".repeat(64)] {
        assert!(
            Form::parse(
                &RegisterRequest { consents: consent(1, version), ..request() },
                NOW,
                AgeRule::OnBirthday
            )
            .is_ok(),
            "{version}"
        );
    }
    let sixteen = vec![Consent { purpose: 1, version: "1".into() }; 16];
    assert!(
        Form::parse(&RegisterRequest { consents: sixteen, ..request() }, NOW, AgeRule::OnBirthday)
            .is_ok()
    );
    assert_eq!(
        reasons(|r| r.consents = vec![Consent { purpose: 1, version: "1".into() }; 17]),
        ["consents CONSENTS_TOO_MANY"]
    );
}

#[test]
fn the_order_of_consents_means_nothing() {
    let mut one = request();
    one.consents.push(Consent { purpose: 3, version: "2".into() });
    let mut other = one.clone();
    other.consents.reverse();
    let (one, other) = (
        Form::parse(&one, NOW, AgeRule::OnBirthday).unwrap(),
        Form::parse(&other, NOW, AgeRule::OnBirthday).unwrap(),
    );
    assert_eq!(one.consents, other.consents);
}

#[test]
fn a_password_is_judged_even_if_it_can_not_be_compared() {
    let told = reasons(|r| {
        r.id_number = "1".into();
        r.password = "123456".into();
    });
    assert_eq!(told, ["id_number ID_NUMBER_LENGTH", "password PASSWORD_DIGITS_ONLY"]);
    // Part of nobody's number, but nobody's alone.
    let told = reasons(|r| {
        r.phone = "1".into();
        r.password = "x300000".into();
    });
    assert_eq!(told, ["phone MOBILE_LENGTH"]);
}

#[test]
fn a_part_of_the_own_number_is_no_password() {
    assert_eq!(reasons(|r| r.password = "a19980101".into()), ["password PASSWORD_PERSONAL"]);
}

#[test]
fn registering_begins_at_14_and_alone_at_18_or_on_own_income_at_16() {
    let form = Form::parse(&request(), NOW, AgeRule::OnBirthday).unwrap();
    let refused = |at: OffsetDateTime, rule| match form.check_age(at, rule) {
        Ok(()) => None,
        Err(Error::Refused(refusal)) => Some(refusal),
        Err(other) => panic!("{other}"),
    };
    use AgeRule::{DayAfterBirthday, OnBirthday};
    assert_eq!(refused(NOW, OnBirthday), None);
    // 2015-12-31 16:00 UTC is 2016-01-01 in Shanghai.
    let eighteen = datetime!(2015-12-31 16:00 UTC);
    assert_eq!(refused(eighteen, OnBirthday), None);
    assert_eq!(refused(eighteen, DayAfterBirthday), Some(Refusal::GuardianRequired));
    let before = datetime!(2015-12-31 15:59:59 UTC);
    assert_eq!(refused(before, OnBirthday), Some(Refusal::GuardianRequired));
    let child = datetime!(2011-12-31 15:59:59 UTC);
    assert_eq!(refused(child, OnBirthday), Some(Refusal::UnderAge));
    let earning = Form { own_income: true, ..form.clone() };
    let refused = |form: &Form, at| {
        form.check_age(at, OnBirthday).err().map(|error| match error {
            Error::Refused(refusal) => refusal,
            other => panic!("{other}"),
        })
    };
    assert_eq!(refused(&earning, before), None);
    let fifteen = datetime!(2013-12-31 15:59:59 UTC);
    assert_eq!(refused(&earning, fifteen), Some(Refusal::GuardianRequired));
    let mut request = request();
    request.guardian = Some(guardian());
    let guarded = Form::parse(&request, NOW, OnBirthday).unwrap();
    assert_eq!(refused(&guarded, fifteen), None);
    assert_eq!(refused(&guarded, child), Some(Refusal::UnderAge));
}

fn guardian() -> wire::Guardian {
    wire::Guardian {
        name: "王芳".into(),
        id_number: "110101198001010010".into(),
        relation: wire::GuardianRelation::Mother.into(),
        phone: "13900000000".into(),
        sms_challenge_id: "01938f2e-7b5a-7c6d-8e9f-0a1b2c3d4e60".into(),
        sms_code: "６５４３２１".into(),
    }
}

#[test]
fn all_faults_of_a_guardian_are_told_at_once() {
    let told = reasons(|r| r.guardian = Some(wire::Guardian::default()));
    assert_eq!(
        told,
        [
            "guardian.name NAME_TOO_SHORT",
            "guardian.id_number ID_NUMBER_LENGTH",
            "guardian.relation GUARDIAN_RELATION_UNKNOWN",
            "guardian.phone MOBILE_LENGTH",
            "guardian.sms_challenge_id ID_FORMAT",
            "guardian.sms_code SMS_CODE_FORMAT"
        ]
    );
    let told = reasons(|r| {
        let (id_number, phone) = (r.id_number.clone(), format!("+86 {}", r.phone));
        r.guardian = Some(wire::Guardian { id_number, phone, ..guardian() });
    });
    assert_eq!(
        told,
        ["guardian.id_number GUARDIAN_IS_APPLICANT", "guardian.phone GUARDIAN_PHONE_SAME"]
    );
}

#[test]
fn debug_shows_nothing_personal() {
    assert_eq!(
        format!("{:?}", Form::parse(&request(), NOW, AgeRule::OnBirthday).unwrap()),
        "Form(***)"
    );
}

fn activated() -> RegisterRequest {
    RegisterRequest {
        name: String::new(),
        id_number: String::new(),
        phone: String::new(),
        sms_challenge_id: String::new(),
        sms_code: String::new(),
        activation_proof: "A-_9".repeat(16),
        ..request()
    }
}

#[test]
fn a_proof_stands_in_the_place_of_five_fields_that_are_empty_then() {
    let parse = |request: &RegisterRequest| Form::parse(request, NOW, AgeRule::OnBirthday);
    let form = parse(&activated()).unwrap();
    assert!(matches!(&form.who, Who::Activated(proof) if proof.len() == 64));
    // How old the person is, identity knows.
    form.check_age(NOW, AgeRule::OnBirthday).unwrap();
    let both = RegisterRequest { activation_proof: activated().activation_proof, ..request() };
    let named: Vec<(String, String)> = faults(&both);
    let fields: Vec<&str> = named.iter().map(|(field, _)| field.as_str()).collect();
    assert_eq!(fields, ["name", "id_number", "phone", "sms_challenge_id", "sms_code"]);
    assert!(named.iter().all(|(_, reason)| reason == "ACTIVATION_PROOF_ALONE"));
    for proof in ["A B", "A.B", "团", &"A".repeat(129)] {
        let request = RegisterRequest { activation_proof: proof.into(), ..activated() };
        let told = [("activation_proof".to_owned(), "ACTIVATION_PROOF_FORMAT".to_owned())];
        assert_eq!(faults(&request), told, "{proof}");
    }
}

#[test]
fn with_a_proof_a_password_is_held_against_all_rules_but_the_personal_one() {
    let told = |password: &str| {
        let request = RegisterRequest { password: password.into(), ..activated() };
        match Form::parse(&request, NOW, AgeRule::OnBirthday) {
            Ok(form) => form.password.expose().to_owned(),
            Err(_) => faults(&request).remove(0).1,
        }
    };
    // Of somebody who is nobody, and of the person for all that is known here.
    for password in ["a000000b", "a777777b", "a110101b", "kz7-qm"] {
        assert_eq!(told(password), password);
    }
    assert_eq!(told("a1"), "PASSWORD_LENGTH");
    assert_eq!(told("20191817"), "PASSWORD_DIGITS_ONLY");
}

#[test]
fn on_the_page_of_a_platform_there_is_no_proof() {
    let request = RegisterOnBehalfRequest { registration: Some(activated()) };
    let error =
        Form::parse_via(&request, "platform".into(), (NOW, AgeRule::OnBirthday)).unwrap_err();
    let status = tonic::Status::from(error);
    let details = tonic_types::StatusExt::get_error_details(&status);
    let faults = &details.bad_request().unwrap().field_violations;
    assert_eq!(faults[0].field, "registration.activation_proof");
}
