//! Browsers, whose sessions are in cookies that their pages can't read.
//!
//! A page says `zhiyuan-session: cookie`. Cookies count with that header only: a form can't
//! send it, and a script of another site only after a preflight, which is never granted.

mod cookie;
mod site;
mod tokens;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, request};
use prost_reflect::MessageDescriptor;
use tonic::Code as Grpc;
use zhiyuan_contracts::access::v1::SessionEffect;
use zhiyuan_contracts::policy::{Caller, MethodPolicy};
use zhiyuan_contracts::rpc::v1::ErrorReason as Common;
use zhiyuan_domain::SharedClock;
use zhiyuan_rpc::{Code, Error};

use crate::config::Cookies;
use cookie::Jar;
use site::Site;

pub use site::OriginError;

/// How a page says that its session is in cookies.
const SESSION: &str = "zhiyuan-session";
/// How the service that renews or ends a session learns the token of the cookie. No caller's own
/// passes.
const REFRESH_TOKEN: HeaderName = HeaderName::from_static("zhiyuan-refresh-token");

/// What holds for all browsers.
#[derive(Debug)]
pub(crate) struct Browsers {
    jar: Jar,
    site: Site,
    clock: SharedClock,
}

impl Browsers {
    /// Reads how cookies are kept.
    ///
    /// # Errors
    /// When an origin is none.
    pub(crate) fn new(config: &Cookies, clock: SharedClock) -> Result<Self, OriginError> {
        Ok(Self { jar: Jar::new(config.secure), site: Site::new(config)?, clock })
    }

    /// Whether a call comes from a browser whose session is in cookies. One that brings
    /// `authorization` for a method that needs it does not: that alone counts then, and
    /// its cookies are left as they are.
    ///
    /// # Errors
    /// `CROSS_SITE`; `MALFORMED_REQUEST` for what is neither one kind of session nor the
    /// other.
    pub(crate) fn of(
        &self,
        policy: &MethodPolicy,
        head: &request::Parts,
    ) -> Result<Option<Browser<'_>>, Error> {
        let mut said = head.headers.get_all(SESSION).iter();
        match (said.next(), said.next()) {
            (None, _) => return Ok(None),
            (Some(kind), None) if kind == "cookie" => {}
            _ => {
                let message = "zhiyuan-session 应为 cookie";
                return Err(Error::new(Code::InvalidInput, Common::MalformedRequest, message));
            }
        }
        self.site.check(head)?;
        let signed_in = matches!(policy.caller, Caller::SignedIn { .. });
        if signed_in && head.headers.contains_key(AUTHORIZATION) {
            return Ok(None);
        }
        Ok(Some(Browser { browsers: self, signed_in, session: policy.session }))
    }
}

/// A browser that calls a method, from a page of this site.
#[derive(Debug)]
pub(crate) struct Browser<'a> {
    browsers: &'a Browsers,
    /// The method is for who has signed in.
    signed_in: bool,
    session: SessionEffect,
}

impl Browser<'_> {
    /// Puts what the cookies prove among the headers that go on.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` when a cookie that the method needs is not there once, or is none
    /// of ours.
    pub(crate) fn prove(&self, sent: &HeaderMap, kept: &mut HeaderMap) -> Result<(), Error> {
        let jar = &self.browsers.jar;
        if self.signed_in {
            kept.insert(AUTHORIZATION, secret(&format!("Bearer {}", jar.access.read(sent)?))?);
        }
        if matches!(self.session, SessionEffect::Renews | SessionEffect::Ends) {
            kept.insert(REFRESH_TOKEN, secret(jar.refresh.read(sent)?)?);
        }
        Ok(())
    }

    /// Moves the tokens of an answer into cookies, or ends these with the session.
    ///
    /// # Errors
    /// `INTERNAL` when the service answered no tokens, or such as fit in no cookie.
    pub(crate) fn answered(
        &self,
        output: &MessageDescriptor,
        message: Bytes,
    ) -> Result<(Bytes, Vec<HeaderValue>), Error> {
        match self.session {
            SessionEffect::Unspecified => Ok((message, Vec::new())),
            SessionEffect::Begins | SessionEffect::Renews => {
                let (message, tokens) = tokens::take(output, message)?;
                let (jar, now) = (&self.browsers.jar, self.browsers.clock.now().unix_timestamp());
                let left = |until: i64| until.saturating_sub(now).max(0);
                let cookies = vec![
                    jar.access.write(&tokens.access, left(tokens.access_until))?,
                    jar.refresh.write(&tokens.refresh, left(tokens.refresh_until))?,
                ];
                Ok((message, cookies))
            }
            SessionEffect::Ends | SessionEffect::EndsWhenDone => {
                Ok((message, self.browsers.jar.cleared()))
            }
        }
    }

    /// The cookies of an answer that refuses.
    pub(crate) fn refused(&self, code: Grpc) -> Vec<HeaderValue> {
        let over = match self.session {
            SessionEffect::Unspecified | SessionEffect::Begins | SessionEffect::EndsWhenDone => {
                false
            }
            SessionEffect::Renews => code == Grpc::Unauthenticated,
            SessionEffect::Ends => !may_go_on(code),
        };
        if over { self.browsers.jar.cleared() } else { Vec::new() }
    }
}

/// Whether a session may go on although its end was asked for with this answer: then the
/// browser needs its cookies to ask again. For all else whoever leaves a shared computer
/// leaves no cookie there.
fn may_go_on(code: Grpc) -> bool {
    match code {
        // Whether it was done is not known, or it will be when asked again.
        Grpc::Cancelled
        | Grpc::Unknown
        | Grpc::DeadlineExceeded
        | Grpc::ResourceExhausted
        | Grpc::Aborted
        | Grpc::Internal
        | Grpc::Unavailable
        | Grpc::DataLoss
        // The request was none, so that nobody was asked.
        | Grpc::InvalidArgument
        | Grpc::OutOfRange
        | Grpc::Unimplemented => true,
        Grpc::Ok
        | Grpc::NotFound
        | Grpc::AlreadyExists
        | Grpc::PermissionDenied
        | Grpc::FailedPrecondition
        | Grpc::Unauthenticated => false,
    }
}

fn secret(text: &str) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::try_from(text).map_err(Error::internal)?;
    value.set_sensitive(true);
    Ok(value)
}
