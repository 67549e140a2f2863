//! Messages that are right, and ways to make a field of them wrong. Made from the
//! descriptors, so that a method that is added is tested without a word.

use std::sync::atomic::{AtomicU32, Ordering};

use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage as _, Value,
};
use uuid::Uuid;
use zhiyuan_domain::{RegionCode, SystemClock, VolunteerNumber, new_id};
use zhiyuan_testkit::person;

use crate::harness::client::{ORGANIZATION, PASSWORD, REGION, now};

/// Nobody else's: each sample is of another person.
static NEXT: AtomicU32 = AtomicU32::new(0);
const FIRST: u32 = 600_000;
/// From a person to the guardian.
const GUARDIANS: u32 = 20_000;
pub(crate) const FIELD_MASK: &str = "google.protobuf.FieldMask";

/// A message with every field right: nobody but its method could refuse it.
pub(crate) fn sample(desc: &MessageDescriptor) -> DynamicMessage {
    let n = FIRST + NEXT.fetch_add(1, Ordering::Relaxed);
    of_person(desc, n)
}

fn of_person(desc: &MessageDescriptor, n: u32) -> DynamicMessage {
    let mut message = DynamicMessage::new(desc.clone());
    for field in desc.fields() {
        // Not with a query, which each sample has; whatever is wrong with it is refused.
        // And not beside what it stands for.
        if ["as_of_time", "activation_proof", "claim_statement"].contains(&field.name()) {
            continue;
        }
        let value = match field.kind() {
            Kind::Message(inner) if inner.full_name() == "google.protobuf.Timestamp" => {
                // What ends, ends later.
                let wait = if field.name() == "expire_time" { 86_400 } else { 0 };
                Value::Message(timestamp(&inner, now().unix_timestamp() + wait, 0))
            }
            Kind::Message(inner) if inner.full_name() == FIELD_MASK => {
                Value::Message(mask(&inner, &changeable(desc)))
            }
            // Somebody else than who registers.
            Kind::Message(inner) if inner.name() == "Guardian" => {
                Value::Message(of_person(&inner, n + GUARDIANS))
            }
            Kind::Message(inner) => Value::Message(of_person(&inner, n)),
            Kind::Enum(inner) => {
                let known = inner.values().map(|value| value.number()).find(|number| *number != 0);
                Value::EnumNumber(known.unwrap())
            }
            Kind::Bool => Value::Bool(true),
            Kind::Int32 if field.name() == "page_size" => Value::I32(10),
            // Rows of a file are counted from 1.
            Kind::Int32 if field.name() == "row_number" => Value::I32(1),
            Kind::Int32 if field.name() == "registered_per_ten_thousand" => Value::I32(9_000),
            Kind::Int32 => Value::I32(0),
            Kind::Int64 if field.name() == "members" => Value::I64(1),
            // A file that holds something.
            Kind::Int64 if field.name() == "size_bytes" => Value::I64(1024),
            Kind::Int64 => Value::I64(0),
            Kind::Uint32 => Value::U32(0),
            // Whatever it is the version of, it is another one.
            Kind::Bytes => Value::Bytes(vec![7; 32].into()),
            Kind::String => Value::String(text(&field, n)),
            kind => panic!("say what a good {kind:?} is: {}", field.full_name()),
        };
        message.set_field(&field, if field.is_list() { Value::List(vec![value]) } else { value });
    }
    message
}

/// The fields of the message that a mask beside it speaks of.
fn changeable(desc: &MessageDescriptor) -> Vec<String> {
    let mut messages = desc.fields().filter_map(|field| match field.kind() {
        Kind::Message(inner) if !inner.full_name().starts_with("google.") => Some(inner),
        _ => None,
    });
    messages.next().unwrap().fields().map(|field| field.name().to_owned()).collect()
}

/// A mask that names these.
pub(crate) fn mask(desc: &MessageDescriptor, paths: &[String]) -> DynamicMessage {
    let mut mask = DynamicMessage::new(desc.clone());
    let paths = paths.iter().cloned().map(Value::String).collect();
    mask.set_field_by_name("paths", Value::List(paths));
    mask
}

fn text(field: &FieldDescriptor, n: u32) -> String {
    let person = person(n);
    let (message, name) = (field.parent_message().name().to_owned(), field.name().to_owned());
    match (message.as_str(), name.as_str()) {
        (_, "request_id" | "sms_challenge_id" | "grant_id" | "proposal_id") => {
            Uuid::new_v4().to_string()
        }
        (_, "enrolment_id" | "account_id" | "other_account_id") => new_id(&SystemClock).to_string(),
        (_, "enrolment_ids" | "review_id") => new_id(&SystemClock).to_string(),
        (_, "viewer_account_id" | "decided_by") => new_id(&SystemClock).to_string(),
        // In the words of who looks, or decides.
        (_, "purpose" | "note") => "核对身份证".to_owned(),
        (_, "source") => "智慧团建导出".to_owned(),
        (_, "stated_on") => "2026-11-01".to_owned(),
        (_, "deadline") => (now() + time::Duration::days(30)).date().to_string(),
        // A file of which nobody has heard.
        (_, "import_id") => new_id(&SystemClock).to_string(),
        (_, "file_name") => "名册.csv".to_owned(),
        (_, "sha256") => "0a".repeat(32),
        (_, "file_id" | "person_ids" | "after_person_id") => new_id(&SystemClock).to_string(),
        (_, "claim_id" | "claim_ids" | "rejected_by") => new_id(&SystemClock).to_string(),
        (_, "first_by" | "second_by" | "holder_id") => new_id(&SystemClock).to_string(),
        (_, "statement") => "这是我的身份证号码。".to_owned(),
        (_, "recovery_id" | "recovery_ids") => new_id(&SystemClock).to_string(),
        (_, "started_by" | "approved_by") => new_id(&SystemClock).to_string(),
        // Well formed, and of nobody.
        (_, "application_id" | "invitation_id" | "article_id") => Uuid::new_v4().to_string(),
        (_, "notice_id" | "supersedes_notice_id") => Uuid::new_v4().to_string(),
        (_, "invitation_code") => "ABCD2345".to_owned(),
        (_, "check_number") => "012345".to_owned(),
        (_, "objection_code") => "0123456789".to_owned(),
        (_, "reason") => "手机遗失，已核对身份证原件。".to_owned(),
        // Of a record that nobody has changed yet.
        (_, "etag") => "1".to_owned(),
        ("OrganizationDetails", "name") => "共青团某镇委员会".to_owned(),
        (_, "group_number") => "551670865".to_owned(),
        (_, "title" | "summary") => "怎样注册".to_owned(),
        (_, "body") => "# 怎样注册\n\n1. 关注公众号".to_owned(),
        (_, "name") => person.name,
        (_, "id_number") => person.id_number,
        (_, "phone" | "new_phone" | "identifier") => person.mobile,
        (_, "id_number_tail") => person.id_number[12..].to_owned(),
        (_, "default_password") => person.id_number[10..].to_owned(),
        (_, "session_id") => new_id(&SystemClock).to_string(),
        (_, "client_name") => "微信".to_owned(),
        (_, "sms_code") => "135246".to_owned(),
        // The new one is what it is: found done, so that nothing is changed.
        (_, "password" | "current_password" | "new_password") => PASSWORD.to_owned(),
        (_, "version") => "2026-11-01".to_owned(),
        ("ListRegionsRequest", "parent_code") => "340100".to_owned(),
        ("GetRegionRequest", "code") | (_, "region_code") => REGION.to_owned(),
        ("ListOrganizationsRequest", "parent_code") => "AH-340100".to_owned(),
        // Nothing is changed: there is no such organization.
        ("CreateOrganizationRequest" | "OrganizationPart", "code") => format!("AH-N{n}"),
        (_, "target_code") => "AH-340100".to_owned(),
        // Nobody applies in the samples.
        (_, "superior_code") => "AH-NOWHERE".to_owned(),
        // Made by the rules of GB 32100, and of nobody.
        (_, "credit_code") => "51340000MJ0000034F".to_owned(),
        ("CreateOrganizationRequest" | "MoveOrganizationRequest", "parent_code")
        | (
            "UpdateOrganizationRequest"
            | "MoveOrganizationRequest"
            | "CloseOrganizationRequest"
            | "ProposeChangeRequest"
            | "ProposeSplitRequest",
            "code",
        )
        | ("OrganizationPart", "child_codes") => "AH-NOWHERE".to_owned(),
        ("GetOrganizationRequest", "code")
        | (_, "organization_code" | "organization_codes" | "scope_codes") => {
            ORGANIZATION.to_owned()
        }
        // A device that nobody knows, and a solution that nobody asked for.
        (_, "device_token") => "A".repeat(86),
        (_, "challenge") => format!("AQ{}", "A".repeat(78)),
        // One that nobody was given, and a cursor before everything.
        (_, "refresh_token") => "A".repeat(99),
        (_, "cursor") => "0".to_owned(),
        (_, "captcha_ticket") => "t03".to_owned(),
        (_, "nonce") => "0".to_owned(),
        (_, "query") => "团".to_owned(),
        // Of an account that nobody made, and with a key that nobody has.
        (_, "account") => "platform".to_owned(),
        (_, "key_id") => "0123456789abcdef".to_owned(),
        (_, "registered_via") => "platform".to_owned(),
        (_, "external_id") => format!("u-{n}"),
        (_, "volunteer_id" | "volunteer_ids") => new_id(&SystemClock).to_string(),
        // Well formed, and nobody's.
        (_, "volunteer_number") => {
            let region = RegionCode::parse("340203").unwrap();
            VolunteerNumber::new(region, n).unwrap().to_string()
        }
        // The first page; a cursor before the first event; what each service has differs.
        (_, "page_token" | "event_id" | "type" | "scope_version") => String::new(),
        _ => panic!("the contracts have a new field: say what is right for {message}.{name}"),
    }
}

/// A time.
pub(crate) fn timestamp(desc: &MessageDescriptor, seconds: i64, nanos: i32) -> DynamicMessage {
    let mut time = DynamicMessage::new(desc.clone());
    time.set_field_by_name("seconds", Value::I64(seconds));
    time.set_field_by_name("nanos", Value::I32(nanos));
    time
}

/// A field of a message or of one below it.
#[derive(Clone, Debug)]
pub(crate) struct Place(Vec<FieldDescriptor>);

/// All fields that hold a value of their own, and times.
pub(crate) fn places(desc: &MessageDescriptor) -> Vec<Place> {
    let mut places = Vec::new();
    for field in desc.fields() {
        match field.kind() {
            Kind::Message(inner) if !inner.full_name().starts_with("google.protobuf.") => {
                places.extend(
                    self::places(&inner)
                        .into_iter()
                        .map(|Place(rest)| Place([vec![field.clone()], rest].concat())),
                );
            }
            _ => places.push(Place(vec![field])),
        }
    }
    places
}

impl Place {
    /// The field itself.
    pub(crate) fn field(&self) -> &FieldDescriptor {
        self.0.last().unwrap()
    }

    /// Whether it holds text.
    pub(crate) fn is_text(&self) -> bool {
        self.field().kind() == Kind::String
    }

    /// How violations name it, such as `consents[0].version`.
    pub(crate) fn name(&self) -> String {
        let parts = self.0.iter().map(|field| {
            let index = if field.is_list() { "[0]" } else { "" };
            format!("{}{index}", field.name())
        });
        parts.collect::<Vec<_>>().join(".")
    }

    /// Where it stands in the JSON of a message.
    pub(crate) fn in_json<'a>(
        &self,
        mut at: &'a mut serde_json::Value,
    ) -> &'a mut serde_json::Value {
        for field in &self.0 {
            at = &mut at[field.json_name()];
            if field.is_list() {
                at = &mut at[0];
            }
        }
        at
    }

    /// Puts a value there.
    pub(crate) fn set(&self, message: &mut DynamicMessage, value: Value) {
        let (last, above) = self.0.split_last().unwrap();
        let in_list = last.is_list() && !matches!(value, Value::List(_));
        let value = if in_list { Value::List(vec![value]) } else { value };
        let mut at = message;
        for field in above {
            let below = at.get_field_mut(field);
            at = match below {
                Value::List(list) => list[0].as_message_mut().unwrap(),
                below => below.as_message_mut().unwrap(),
            };
        }
        assert!(at.descriptor().fields().any(|field| field == *last));
        at.set_field(last, value);
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name())
    }
}
