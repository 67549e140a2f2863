//! Which headers of a caller reach a service: those of an allow list.
//!
//! Whatever else a caller sends (`x-forwarded-for`, `grpc-metadata-*`, `traceparent`,
//! cookies) could pass for something that the gateway itself says, so it ends here.
//! `zhiyuan-assertion` passes to methods for service accounts alone, whose calls have
//! one: it is signed for the service, which verifies it. A cookie ends here too; what it
//! holds goes on as [`Browser`] says.

use http::header::{ACCEPT_LANGUAGE, AUTHORIZATION, CONTENT_TYPE, TE};
use http::{HeaderMap, HeaderName, HeaderValue};
use zhiyuan_contracts::policy::Caller;
use zhiyuan_contracts::rpc::v1::ErrorReason as Common;
use zhiyuan_rpc::client::{ASSERTION, assertion, bearer};
use zhiyuan_rpc::{Code, Error};

use crate::browser::Browser;

/// Passed on from every caller.
const OF_ANYBODY: [HeaderName; 2] = [AUTHORIZATION, ACCEPT_LANGUAGE];

/// Passed on to methods for service accounts besides.
const OF_SERVICE_ACCOUNTS: [HeaderName; 1] = [HeaderName::from_static(ASSERTION)];

/// Passed on from gRPC callers besides, whose bytes are not touched.
const OF_GRPC: [HeaderName; 2] =
    [HeaderName::from_static("grpc-encoding"), HeaderName::from_static("grpc-accept-encoding")];

/// The headers of a gRPC call that passes through.
///
/// # Errors
/// As [`of_connect`] without browser.
pub(crate) fn of_grpc(headers: &HeaderMap, caller: &Caller) -> Result<HeaderMap, Error> {
    let mut kept = of_connect(headers, caller, None)?;
    keep(&mut kept, headers, &OF_GRPC);
    Ok(kept)
}

/// The headers of a call whose message the gateway frames itself.
///
/// # Errors
/// As [`of_anybody`]; `UNAUTHENTICATED` without the assertion of a service account, or
/// without the access token of a person, before the call takes a place.
pub(crate) fn of_connect(
    headers: &HeaderMap,
    caller: &Caller,
    browser: Option<&Browser<'_>>,
) -> Result<HeaderMap, Error> {
    let mut kept = of_anybody(headers)?;
    match (caller, browser) {
        (Caller::Service { at_gateway: true, .. }, _) => {
            assertion(headers)?;
            keep(&mut kept, headers, &OF_SERVICE_ACCOUNTS);
        }
        (Caller::SignedIn { .. }, None) => {
            bearer(headers)?;
        }
        (_, Some(browser)) => browser.prove(headers, &mut kept)?,
        (Caller::Any | Caller::Service { .. }, None) => {}
    }
    Ok(kept)
}

/// The headers that everybody's calls pass on.
///
/// # Errors
/// `UNAUTHENTICATED` when there is more than one `authorization`: two readers could
/// believe two different ones.
fn of_anybody(headers: &HeaderMap) -> Result<HeaderMap, Error> {
    if headers.get_all(AUTHORIZATION).iter().nth(1).is_some() {
        return Err(Error::new(
            Code::Unauthenticated,
            Common::Unauthenticated,
            "请求中有多个 authorization，请只保留一个",
        ));
    }
    let mut kept = HeaderMap::new();
    keep(&mut kept, headers, &OF_ANYBODY);
    kept.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    kept.insert(TE, HeaderValue::from_static("trailers"));
    Ok(kept)
}

fn keep(kept: &mut HeaderMap, headers: &HeaderMap, names: &[HeaderName]) {
    for name in names {
        for value in headers.get_all(name) {
            kept.append(name.clone(), value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        map
    }

    #[test]
    fn keeps_what_is_on_the_list_and_nothing_else() {
        let sent = headers(&[
            ("authorization", "Bearer x"),
            ("accept-language", "zh-CN"),
            ("grpc-encoding", "gzip"),
            ("grpc-accept-encoding", "gzip"),
            ("grpc-timeout", "1H"),
            ("zhiyuan-assertion", "forged"),
            ("x-forwarded-for", "10.0.0.1"),
            ("grpc-metadata-authorization", "Bearer y"),
            ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            ("cookie", "a=b"),
            ("x-user-id", "1"),
            ("zhiyuan-refresh-token", "x"),
            ("zhiyuan-session", "cookie"),
        ]);
        let names = |caller: &Caller| {
            let kept = of_grpc(&sent, caller).unwrap();
            let mut names: Vec<String> = kept.keys().map(ToString::to_string).collect();
            names.sort_unstable();
            names
        };
        let anybody = [
            "accept-language",
            "authorization",
            "content-type",
            "grpc-accept-encoding",
            "grpc-encoding",
            "te",
        ];
        assert_eq!(names(&Caller::Any), anybody);
        let account = |at_gateway| Caller::Service { scope: "s".into(), at_gateway, strict: false };
        assert_eq!(names(&account(false)), anybody);
        let mut with_assertion: Vec<&str> = anybody.into();
        with_assertion.push("zhiyuan-assertion");
        assert_eq!(names(&account(true)), with_assertion);
    }

    #[test]
    fn the_call_of_a_service_account_has_one_assertion() {
        let account = Caller::Service { scope: "s".into(), at_gateway: true, strict: false };
        let code =
            |pairs: &[_]| of_connect(&headers(pairs), &account, None).map_err(|error| error.code());
        let assertion = ("zhiyuan-assertion", "signed");
        assert!(code(&[assertion]).is_ok());
        assert_eq!(code(&[]).unwrap_err(), Code::Unauthenticated);
        assert_eq!(code(&[assertion, assertion]).unwrap_err(), Code::Unauthenticated);
        assert!(of_connect(&headers(&[]), &Caller::Any, None).is_ok());
    }

    #[test]
    fn the_call_of_a_person_has_one_bearer_token() {
        let person = Caller::SignedIn { strict: false, second_factor: false };
        let code =
            |pairs: &[_]| of_grpc(&headers(pairs), &person).map(drop).map_err(|error| error.code());
        let bearer = ("authorization", "Bearer x");
        for good in ["Bearer x", "bearer x", "Bearer x.y.z"] {
            assert_eq!(code(&[("authorization", good)]), Ok(()));
        }
        for bad in [&[][..], &[bearer, bearer], &[("authorization", "Basic eDp5")]] {
            assert_eq!(code(bad), Err(Code::Unauthenticated), "{bad:?}");
        }
        for bad in ["", "x", "Bearer", "Bearerx y"] {
            assert_eq!(code(&[("authorization", bad)]), Err(Code::Unauthenticated), "{bad}");
        }
        // Nothing of this is a token.
        for (name, value) in [("cookie", "zhiyuan-access=x"), ("zhiyuan-session", "cookie")] {
            assert_eq!(code(&[(name, value)]), Err(Code::Unauthenticated), "{name}");
        }
    }

    #[test]
    fn refuses_two_authorizations() {
        let two = headers(&[("authorization", "Bearer x"), ("authorization", "Bearer y")]);
        assert_eq!(of_anybody(&two).unwrap_err().code(), Code::Unauthenticated);
    }
}
