//! What a browser says that it takes, and what it has (RFC 9110).

use http::header::{ACCEPT, ACCEPT_ENCODING, IF_NONE_MATCH};
use http::{HeaderMap, HeaderName, HeaderValue};

/// A weight in thousandths.
type Weight = u16;

/// The weight of what is taken but was not asked for.
const LEAST: Weight = 1;

/// Whether HTML is asked for by its name, as browsers do for a page and nobody else does:
/// `*/*` comes from programs.
pub(crate) fn names_html(headers: &HeaderMap) -> bool {
    elements(headers, ACCEPT).any(|(name, weight)| name == "text/html" && weight > 0)
}

/// How much a content coding, or `identity`, is wanted; 0 is not at all.
pub(super) fn weight_of(headers: &HeaderMap, coding: &str) -> Weight {
    let (mut named, mut any) = (None, None);
    for (name, weight) in elements(headers, ACCEPT_ENCODING) {
        if name == coding {
            named = Some(weight);
        } else if name == "*" {
            any = Some(weight);
        }
    }
    match (named, any) {
        (Some(weight), _) => weight,
        // Whoever takes anything had rather have it small.
        (None, Some(weight)) if coding == "identity" => weight.min(LEAST),
        (None, Some(weight)) => weight,
        (None, None) if coding == "identity" => LEAST,
        (None, None) => 0,
    }
}

/// Whether the caller has what bears this tag.
pub(super) fn has(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    list(headers, IF_NONE_MATCH).any(|known| {
        known == "*" || known.strip_prefix("W/").unwrap_or(known).as_bytes() == tag.as_bytes()
    })
}

/// The elements of a header, with their weights; what can't be read is not there.
fn elements(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = (String, Weight)> {
    list(headers, name).filter_map(|element| {
        let mut parts = element.split(';').map(str::trim);
        let name = parts.next()?.to_ascii_lowercase();
        let mut weight = 1000;
        for parameter in parts {
            if let Some(value) = parameter.strip_prefix("q=").or(parameter.strip_prefix("Q=")) {
                weight = read(value)?;
            }
        }
        Some((name, weight))
    })
}

fn list(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|element| !element.is_empty())
}

/// `1`, `0.8`, `0.001`: three digits after the point at most.
fn read(value: &str) -> Option<Weight> {
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths: Weight = format!("{fraction:0<3}").parse().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn html_is_asked_for_by_its_name() {
        for (accept, html) in [
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", true),
            ("application/json, TEXT/HTML;level=1;q=0.1", true),
            ("text/html;q=0", false),
            ("text/html;q=2", false),
            ("*/*", false),
            ("text/*", false),
            ("text/htmlx", false),
            ("", false),
        ] {
            assert_eq!(names_html(&with(ACCEPT, accept)), html, "{accept}");
        }
        assert!(!names_html(&HeaderMap::new()));
    }

    #[test]
    fn codings_have_weights() {
        for (accept, br, gzip, identity) in [
            ("gzip, deflate, br, zstd", 1000, 1000, 1),
            ("gzip;q=0.5, BR;q=0.25", 250, 500, 1),
            ("br;q=0, gzip;q=0.001", 0, 1, 1),
            ("*", 1000, 1000, 1),
            ("gzip, *;q=0", 0, 1000, 0),
            ("identity", 0, 0, 1000),
            ("identity;q=0, br", 1000, 0, 0),
            ("br;q=0.1234, gzip;q=high", 0, 0, 1),
            ("", 0, 0, 1),
        ] {
            let headers = with(ACCEPT_ENCODING, accept);
            let found = ["br", "gzip", "identity"].map(|coding| weight_of(&headers, coding));
            assert_eq!(found, [br, gzip, identity], "{accept}");
        }
    }

    #[test]
    fn a_tag_is_known_in_any_of_its_forms() {
        let tag = HeaderValue::from_static("\"abc-1\"");
        for (known, has_it) in [
            ("\"abc-1\"", true),
            ("W/\"abc-1\"", true),
            ("\"x\", \"abc-1\"", true),
            ("*", true),
            ("\"abc\"", false),
            ("abc-1", false),
        ] {
            assert_eq!(has(&with(IF_NONE_MATCH, known), &tag), has_it, "{known}");
        }
        assert!(!has(&HeaderMap::new(), &tag));
    }
}
