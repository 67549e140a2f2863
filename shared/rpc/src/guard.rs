//! What stands in front of every method of a service.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt as _;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Request, Response};
use http_body_util::Full;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::body::Body;
use tower::Service;
use tracing::Instrument as _;
use zhiyuan_auth::quota::{self, Spent};
use zhiyuan_auth::sessions::{ACCOUNTS_KNOWN_FOR, STALE_AFTER};
use zhiyuan_auth::{
    AssertionError, AssertionVerifier, Sessions, SignedIn, TokenVerifier, TrustedCallers,
};
use zhiyuan_contracts::access::v1::LimitClass;
use zhiyuan_contracts::feed::v1::ErrorReason as Feed;
use zhiyuan_contracts::policy::{Caller, MethodPolicy, Policies};
use zhiyuan_contracts::rpc::v1::ErrorReason as Common;
use zhiyuan_domain::SharedClock;

use crate::arrival;
use crate::client::{assertion, bearer, unauthenticated};
use crate::deadline::{self, Bounds};
use crate::error::{Code, Error};
use crate::limits::ClassLimits;
use crate::server::{Leaving, is_standard};
use crate::streamed::{Over, Streamed};

/// The service that called, once its assertion was verified. In the extensions of
/// a request to a method that only services may call.
#[derive(Debug, Clone)]
pub struct CallerIdentity(pub zhiyuan_auth::Caller);

impl CallerIdentity {
    /// The name of the service that called; empty where anybody may call.
    pub fn name_of<T>(request: &tonic::Request<T>) -> String {
        let caller = request.extensions().get::<Self>();
        caller.map(|Self(caller)| caller.name.to_string()).unwrap_or_default()
    }
}

/// The person who called, once the access token was verified. In the extensions of a
/// request to a method for who has signed in.
#[derive(Debug, Clone, Copy)]
pub struct PersonIdentity(pub SignedIn);

impl PersonIdentity {
    /// Who called.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` where the policy of the method lets in others as well.
    pub fn of<T>(request: &tonic::Request<T>) -> Result<SignedIn, Error> {
        let person = request.extensions().get::<Self>();
        person.map(|Self(person)| *person).ok_or_else(unauthenticated)
    }
}

/// How callers prove who they are.
#[derive(Debug, Clone)]
pub struct Verifiers {
    /// Services and service accounts.
    pub assertions: AssertionVerifier,
    /// People who have signed in.
    pub tokens: TokenVerifier,
    clock: SharedClock,
}

impl Verifiers {
    /// For the service `name`, which trusts these callers and knows this of sessions.
    pub fn new(
        name: &str,
        callers: TrustedCallers,
        sessions: Sessions,
        clock: SharedClock,
    ) -> Self {
        Self {
            assertions: AssertionVerifier::new(
                name,
                callers,
                sessions.accounts().clone(),
                clock.clone(),
            ),
            tokens: TokenVerifier::new(sessions, clock.clone()),
            clock,
        }
    }

    fn sessions(&self) -> &Sessions {
        self.tokens.sessions()
    }
}

/// Enforces access policy, limits and deadlines in front of the routes of one
/// service, opens the span of the call, and turns a panic into `INTERNAL`.
#[derive(Clone)]
pub struct Guard<S> {
    inner: S,
    rules: Arc<Rules>,
}

struct Rules {
    service: &'static str,
    policies: Policies,
    verifiers: Verifiers,
    limits: ClassLimits,
    bounds: Bounds,
}

impl<S> std::fmt::Debug for Guard<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("service", &self.rules.service).finish_non_exhaustive()
    }
}

impl<S> Guard<S> {
    /// Guards the routes of a service.
    pub fn new(
        inner: S,
        service: &'static str,
        policies: Policies,
        verifiers: Verifiers,
        limits: ClassLimits,
        bounds: Bounds,
    ) -> Self {
        Self { inner, rules: Arc::new(Rules { service, policies, verifiers, limits, bounds }) }
    }
}

impl Rules {
    /// Decides on the routed path, never on a prefix of it.
    fn admit(&self, request: &mut Request<Body>) -> Result<Arc<MethodPolicy>, Error> {
        let policy = self
            .policies
            .find(request.uri().path())
            .cloned()
            .ok_or_else(Error::method_not_found)?;
        arrival::check_headers(request.headers())?;
        // Two readers could believe two different ones.
        if request.headers().get_all(AUTHORIZATION).iter().nth(1).is_some() {
            return Err(unauthenticated());
        }
        match &policy.caller {
            Caller::Any => {}
            Caller::Service { scope, strict, .. } => {
                let caller = self.service(request.headers(), scope, *strict)?;
                request.extensions_mut().insert(CallerIdentity(caller));
            }
            Caller::SignedIn { strict, second_factor } => {
                let person = self.person(request.headers(), *strict)?;
                if *second_factor && !person.second_factor {
                    return Err(Error::new(
                        Code::Precondition,
                        Common::SecondFactorRequired,
                        "此操作需要用密码和短信验证码一起重新登录",
                    ));
                }
                request.extensions_mut().insert(PersonIdentity(person));
            }
        }
        Ok(policy)
    }

    fn service(
        &self,
        headers: &HeaderMap,
        scope: &str,
        strict: bool,
    ) -> Result<zhiyuan_auth::Caller, Error> {
        let sessions = self.verifiers.sessions();
        let caller = self.verifiers.assertions.verify(assertion(headers)?).map_err(|error| {
            // It may be that of an account of which identity has not told yet: that is not the
            // caller's fault.
            if error == AssertionError::UnknownKey && !sessions.is_informed() {
                return stale();
            }
            tracing::warn!(error = %error, "assertion refused");
            unauthenticated()
        })?;
        if caller.is_account() {
            let now = std::time::Instant::now();
            let known = if strict { sessions.is_fresh(now) } else { sessions.knows_accounts(now) };
            if !known {
                return Err(stale());
            }
        }
        if !caller.has_scope(scope) {
            return Err(Error::new(Code::Forbidden, Common::ScopeMissing, "没有调用此接口的权限")
                .with_metadata("scope", scope));
        }
        let now = self.verifiers.clock.now().unix_timestamp();
        sessions.accounts().spend(&caller, now).map_err(spent)?;
        Ok(caller)
    }

    fn person(&self, headers: &HeaderMap, strict: bool) -> Result<SignedIn, Error> {
        let token = bearer(headers)?;
        let sessions = self.verifiers.tokens.sessions();
        // Without a word from identity no key is known: that is not the caller's fault.
        if !sessions.is_informed() {
            return Err(stale());
        }
        let person = self.verifiers.tokens.verify(token).map_err(|error| {
            tracing::debug!(error = %error, "access token refused");
            Error::new(
                Code::Unauthenticated,
                Common::TokenInvalid,
                "登录状态已失效，请刷新或重新登录",
            )
        })?;
        if strict && !sessions.is_fresh(std::time::Instant::now()) {
            return Err(stale());
        }
        Ok(person)
    }
}

/// A service account has called as often as it may.
fn spent(spent: Spent) -> Error {
    let (window, message) = match spent.window {
        quota::Window::Minute => ("minute", "本分钟的调用次数已达上限，请稍后再试"),
        quota::Window::Day => {
            ("day", "今日的调用次数已达上限，请明天再试，或联系平台管理员调整额度")
        }
    };
    Error::new(Code::Exhausted, Common::QuotaExhausted, message)
        .with_metadata("window", window)
        .with_retry_after(spent.wait)
}

/// The operator has changed which organizations a service account sees.
fn scope_changed() -> Error {
    let message = "可见的组织范围已变更，请从快照重新同步";
    Error::new(Code::Precondition, Feed::FeedScopeChanged, message)
}

/// It is not known just now which sessions ended, or which service accounts there are.
fn stale() -> Error {
    Error::new(Code::Unavailable, Common::RevocationsStale, "暂时无法确认登录状态，请稍后重试")
        .with_retry_after(Duration::from_secs(1))
}

impl<S> Service<Request<Body>> for Guard<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        if is_standard(request.uri().path()) {
            return Box::pin(inner.call(request));
        }
        let rules = Arc::clone(&self.rules);
        // Only what the contracts know: a path is a caller's text.
        let known = rules.policies.find(request.uri().path());
        let method = known.map_or("unknown", |policy| policy.path.as_str());
        let known_unary = known.is_some_and(|policy| !policy.method.is_server_streaming());
        let span = tracing::info_span!(
            "rpc",
            otel.name = method,
            otel.kind = "server",
            service = rules.service,
            rpc.method = method,
            rpc.code = tracing::field::Empty,
        );
        zhiyuan_telemetry::propagation::set_parent(&span, request.headers());
        let work = async move {
            let answer = match rules.admit(&mut request) {
                Ok(policy) => serve(&rules, &policy, &mut inner, request).await,
                Err(error) => Err(error),
            };
            let response = answer.unwrap_or_else(|error| Status::from(error).into_http());
            // A stream tells its code when it ends.
            if let Some(status) = Status::from_header_map(response.headers()) {
                tracing::Span::current().record("rpc.code", status.code() as i32);
            } else if known_unary {
                tracing::Span::current().record("rpc.code", tonic::Code::Ok as i32);
            }
            Ok(response)
        };
        Box::pin(work.instrument(span))
    }
}

async fn serve<S>(
    rules: &Rules,
    policy: &MethodPolicy,
    inner: &mut S,
    request: Request<Body>,
) -> Result<Response<Body>, Error>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    let limit = rules.bounds.of(policy.limit_class, request.headers())?;
    let deadline = limit.map(|limit| Instant::now() + limit);
    // What a stream begins with is an answer that comes once.
    let head = deadline.unwrap_or_else(|| Instant::now() + rules.bounds.max);
    let leaving = Leaving::of(request.extensions());
    let streamed = policy.method.is_server_streaming();
    let caller = request.extensions().get::<CallerIdentity>();
    let sessions = rules.verifiers.sessions();
    let over = caller.and_then(|CallerIdentity(caller)| sessions.accounts().over(caller));
    let over = over.zip(caller).map(|(over, CallerIdentity(caller))| {
        let known = (sessions.clone(), known_for(policy));
        Box::pin(counts_no_more(over, caller.clone(), known))
    });
    let caller = caller.map(|CallerIdentity(caller)| Arc::clone(&caller.name));
    let enter = || match &caller {
        Some(caller) => rules.limits.enter_as(policy.limit_class, caller),
        None => rules.limits.enter(policy.limit_class),
    };
    let work = async {
        // Told before its request is read, if it can be.
        drop(enter()?);
        let request = if policy.method.is_client_streaming() {
            request
        } else {
            let (head, body) = request.into_parts();
            let limit = arrival::REQUEST_BYTES + arrival::PREFIX;
            let message = arrival::whole(body, limit, &head.extensions).await?;
            Request::from_parts(head, Body::new(Full::new(message)))
        };
        let place = enter()?;
        let call = async {
            let encoded = is_encoded(request.headers());
            let Ok(response) = inner.call(request).await;
            let response = own_words(response, encoded)?;
            if streamed { Ok(response) } else { arrival::answer(response).await }
        };
        let called = AssertUnwindSafe(call).catch_unwind().await;
        let response = called.map_err(|_panic| Error::internal("a handler panicked"))??;
        Ok::<_, Error>((response, place))
    };
    let (response, place) = deadline::run_until(head, work).await??;
    if !streamed || response.headers().contains_key(Status::GRPC_STATUS) {
        return Ok(response);
    }
    let leaving = match policy.limit_class {
        LimitClass::Stream => leaving,
        // Others end soon enough by themselves.
        _ => Leaving::never(),
    };
    let over = over.map(|over| over as Over);
    Ok(response.map(|body| Body::new(Streamed::new(body, deadline, place, leaving, over))))
}

/// How old the last word of identity may be for a service account to go on with a method.
fn known_for(policy: &MethodPolicy) -> Duration {
    match policy.caller {
        Caller::Service { strict: true, .. } => STALE_AFTER,
        Caller::Service { strict: false, .. } | Caller::Any | Caller::SignedIn { .. } => {
            ACCOUNTS_KNOWN_FOR
        }
    }
}

/// Waits until the service account that has a stream open is none any more, or until it is
/// not known any longer whether it is; tells which.
async fn counts_no_more(
    over: CancellationToken,
    caller: zhiyuan_auth::Caller,
    (sessions, known_for): (Sessions, Duration),
) -> Error {
    let unknown = async {
        while let Some(until) = sessions.younger_until(known_for)
            && until > std::time::Instant::now()
        {
            tokio::time::sleep_until(until.into()).await;
        }
    };
    tokio::select! {
        () = over.cancelled() => {
            if sessions.accounts().is_elsewhere(&caller) { scope_changed() } else { unauthenticated() }
        }
        () = unknown => stale(),
    }
}

/// Whether a request says that its messages are compressed, which none is taken as.
fn is_encoded(headers: &HeaderMap) -> bool {
    headers.get_all("grpc-encoding").iter().any(|encoding| encoding != "identity")
}

/// Errors of ours always carry details. One without them is the codec's, which calls
/// a message that it can't read `INTERNAL` and one that is too large `OUT_OF_RANGE`;
/// neither is our fault. Or it is that of the routes, which know fewer methods than the
/// contracts do.
fn own_words(response: Response<Body>, encoded: bool) -> Result<Response<Body>, Error> {
    let Some(status) = Status::from_header_map(response.headers()) else { return Ok(response) };
    match status.code() {
        _ if !status.details().is_empty() => Ok(response),
        tonic::Code::Internal => Err(Error::malformed_request()),
        tonic::Code::OutOfRange => Err(Error::message_too_large()),
        tonic::Code::Unimplemented if encoded => Err(Error::new(
            Code::Unimplemented,
            Common::MalformedRequest,
            "暂不支持压缩的请求，请去掉 grpc-encoding",
        )),
        tonic::Code::Unimplemented => Err(Error::method_not_found()),
        _ => Ok(response),
    }
}
