//! What every service is asked, and the gateway in front of them: every method, at every
//! place where it is served, by every protocol.

mod bytes;
mod callers;
mod lists;
mod paths;
mod request_ids;
mod size;
mod text;
mod time;
mod traces;
mod values;

use tonic::Code;

use super::samples::{Place, places};
use super::{Way, assert_field_refused, assert_refused, ways};
use crate::harness::wire::Told;

/// The fields of a method.
fn fields(way: &Way) -> Vec<Place> {
    places(&way.policy.method.input())
}

/// Asserts that a value was refused for the field that it stands in.
#[track_caller]
fn assert_value_refused(told: &Told, place: &Place, what: &str) {
    match place.name().as_str() {
        "page_token" => assert_refused(told, Code::InvalidArgument, "PAGE_TOKEN_INVALID", &what),
        // What is wrong with a row is in its answer: the others are none the worse for it.
        "rows[0].name" | "rows[0].id_number" | "rows[0].phone" => {
            assert_eq!(told.refusal, None, "{what}");
            // `row_number: 1`, and `problem`.
            let problem = |part: &[u8]| part.starts_with(&[8, 1, 16]) && (1..=3).contains(&part[3]);
            assert!(told.body.windows(4).any(problem), "{what}");
        }
        "type" => assert_refused(told, Code::InvalidArgument, "FEED_TYPE_UNKNOWN", &what),
        name => assert_field_refused(told, name, &what),
    }
}
