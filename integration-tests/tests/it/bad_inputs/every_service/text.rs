//! Text (rows 28, 29 and 30), in every field of every method that takes text.

use prost_reflect::Value;
use tonic::Code;

use super::{assert_value_refused, fields, ways};
use crate::harness::{Client, Site, shared};

/// Stands in all that is sent, and in nothing that comes back.
const CANARY: &str = "CANARY7";

/// Puts a text into every field, one after the other, and hands in what came of it.
async fn each_field(
    site: &Site,
    text: &str,
    takes: impl Fn(&super::Way, &super::Place) -> bool,
    check: impl Fn(&crate::harness::wire::Told, &super::Place, &str),
) {
    for way in ways(site) {
        let places = fields(&way).into_iter().filter(super::Place::is_text);
        for place in places.filter(|place| takes(&way, place)) {
            let mut message = way.sample();
            place.set(&mut message, Value::String(text.to_owned()));
            let told = way.ask(&message).await;
            let what = format!("{place} of {way}");
            // What was taken as a note is read again by those who may.
            let noted = told.refusal.is_none() && place.name() == "note";
            assert!(noted || !told.repeats(CANARY.as_bytes()), "{what}: {told:?}");
            check(&told, &place, &what);
        }
    }
}

pub(super) async fn characters(site: &Site) {
    for (what, text) in [
        ("NUL", format!("{CANARY}\0")),
        ("a control character", format!("{CANARY}\u{1b}[2J")),
        ("a line", format!("a\nb{CANARY}")),
        ("the other direction", format!("{CANARY}\u{202e}a")),
        ("an isolated direction", format!("\u{2067}{CANARY}")),
        ("combining marks", format!("{CANARY}{}", "\u{301}".repeat(10_000))),
    ] {
        let check = |told: &_, place: &_, way: &str| {
            assert_value_refused(told, place, &format!("{what} in {way}"));
        };
        // What is said to a claim has lines; an article has many, and of any length that is meant.
        let takes = |_: &super::Way, place: &super::Place| match place.field().name() {
            "body" => !["a line", "combining marks"].contains(&what),
            name => what != "a line" || !name.ends_with("statement"),
        };
        each_field(site, &text, takes, check).await;
    }
}

#[tokio::test]
async fn every_service_28_characters_that_are_no_text() {
    characters(&shared()).await;
}

pub(super) async fn long(site: &Site) {
    for text in ["a", "1", "团"] {
        let text = format!("{CANARY}{}", text.repeat(2_000));
        // That of an article is tested where it is stored: it takes 20,000.
        let takes = |_: &super::Way, place: &super::Place| place.field().name() != "body";
        each_field(site, &text, takes, assert_value_refused).await;
    }
}

#[tokio::test]
async fn every_service_29_text_over_its_limit() {
    long(&shared()).await;
}

/// What means something to somebody else.
const META: [&str; 8] = [
    "CANARY7' OR 1=1",
    "1); SELECT 1;--",
    "*)(uid=*))(|(a=*",
    "${jndi:ldap://a}",
    "{{7*7}} #{7*7}",
    "../../etc/passwd",
    "<script>1</a>",
    "%s%n%00\\'\"`",
];

/// Fields in which any text means itself.
const LITERAL: [&str; 12] = [
    "password",
    "current_password",
    "new_password",
    "client_name",
    "purpose",
    "note",
    "source",
    "statement",
    "claim_statement",
    "title",
    "summary",
    "body",
];

/// Taken to the letter in a query, in a password, in the name of a device and in what somebody
/// says of why, refused everywhere else.
pub(super) async fn metacharacters(site: &Site) {
    for (n, text) in META.into_iter().enumerate() {
        // Wrong ones are delayed, and a new one that can be chosen would be.
        let takes = |way: &super::Way, place: &super::Place| match place.name().as_str() {
            "current_password" => n == 0,
            "new_password" => way.policy.method.name() != "ChangePassword",
            _ => true,
        };
        let check = |told: &crate::harness::wire::Told, place: &super::Place, what: &str| {
            if place.name() == "query" {
                assert_eq!(told.refusal, None, "{what}");
                assert!(!String::from_utf8_lossy(&told.body).contains("AH-"), "{what}");
            } else if LITERAL.contains(&place.field().name()) {
                let refusal = told.refusal.as_ref().map(|refusal| (refusal.code, &*refusal.reason));
                let wrong = |reason| Some((Code::Unauthenticated, reason));
                let mut further = vec![None, wrong("SMS_CODE_WRONG"), wrong("PASSWORD_WRONG")];
                if place.name() == "new_password" {
                    // It has to be one that can be chosen.
                    further.push(Some((Code::InvalidArgument, "INVALID_FIELDS")));
                }
                if place.name().ends_with("claim_statement") {
                    // Not on the page of a platform, which the samples are on.
                    further.push(Some((Code::InvalidArgument, "INVALID_FIELDS")));
                }
                let said = ["purpose", "note", "source", "statement", "title", "summary", "body"];
                if said.contains(&place.field().name()) {
                    // Nobody applies or imports in the samples, or administers anything.
                    let missing = [
                        "REVIEW_NOT_FOUND",
                        "ENROLMENT_NOT_FOUND",
                        "CLAIM_NOT_FOUND",
                        "ORGANIZATION_NOT_FOUND",
                        "APPLICATION_NOT_FOUND",
                        "ARTICLE_NOT_FOUND",
                        "GRANT_NOT_FOUND",
                        "ROSTER_IMPORT_NOT_FOUND",
                        "ROSTER_FILE_NOT_FOUND",
                    ];
                    further.extend(missing.map(|reason| Some((Code::NotFound, reason))));
                }
                assert!(further.contains(&refusal), "{what}: {refusal:?}");
            } else {
                assert_value_refused(told, place, what);
            }
        };
        each_field(site, text, takes, check).await;
    }
}

#[tokio::test]
async fn every_service_30_metacharacters() {
    metacharacters(&shared()).await;
}

#[tokio::test]
async fn every_service_30_metacharacters_are_stored_to_the_letter() {
    let client = Client::of(&shared());
    let mut somebody = zhiyuan_testkit::person(690_000);
    somebody.name = "O'Neill-D'Arcy".to_owned();
    let mut form = client.apply(&client.json, &somebody).await;
    form.password = "';DROP TABLE a--".to_owned();
    let volunteer = client.register_to_the_end(&client.json, &form).await.unwrap();
    assert_eq!(volunteer.name, "O***");
}
