//! The trace context across hops: the `traceparent` header of W3C Trace Context.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator as _};
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// Writes the context of the current span into the headers of an outgoing request, over what was
/// there. Without a trace the headers stay without one.
pub fn inject(headers: &mut HeaderMap) {
    headers.remove("traceparent");
    headers.remove("tracestate");
    TraceContextPropagator::new().inject_context(&current(), &mut Writing(headers));
}

/// Reads the context that an incoming request carries; an empty one if it carries none, or one
/// that can't be read.
#[must_use]
pub fn accept(headers: &HeaderMap) -> Context {
    TraceContextPropagator::new().extract_with_context(&Context::new(), &Reading(headers))
}

/// Makes `span` a part of the trace that an incoming request carries, if it carries one. To be
/// called before the span is entered; later it has no effect.
pub fn set_parent(span: &Span, headers: &HeaderMap) {
    let context = accept(headers);
    if context.span().span_context().is_valid() {
        // Fails where no telemetry is set up, or the span is filtered out: then there is no trace
        // to be a part of.
        let _no_trace = span.set_parent(context);
    }
}

/// Returns the id of the current trace in 32 lower-case hexadecimal digits.
#[must_use]
pub fn current_trace_id() -> Option<String> {
    let context = current();
    let span = context.span();
    let id = span.span_context();
    id.is_valid().then(|| id.trace_id().to_string())
}

fn current() -> Context {
    let context = Span::current().context();
    // A span that no layer traces has no context of its own; the nearest traced one around it has.
    if context.span().span_context().is_valid() { context } else { Context::current() }
}

struct Writing<'a>(&'a mut HeaderMap);

impl Injector for Writing<'_> {
    fn set(&mut self, key: &str, value: String) {
        // An empty `tracestate` says nothing.
        if value.is_empty() {
            return;
        }
        if let (Ok(name), Ok(value)) = (key.parse::<HeaderName>(), HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}

struct Reading<'a>(&'a HeaderMap);

impl Extractor for Reading<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{accept, current_trace_id, inject, set_parent};
    use http::{HeaderMap, HeaderValue};
    use opentelemetry::trace::TraceContextExt as _;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers(parent: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(
            http::header::HeaderName::from_static("traceparent"),
            HeaderValue::from_static(parent),
        )])
    }

    #[test]
    fn without_telemetry_there_is_no_trace_and_no_harm() {
        let mut outgoing = headers(PARENT);
        let span = tracing::info_span!("rpc");
        set_parent(&span, &headers(PARENT));
        let _entered = span.enter();
        inject(&mut outgoing);
        assert!(outgoing.is_empty());
        assert_eq!(current_trace_id(), None);
    }

    #[test]
    fn reads_the_header_of_the_standard() {
        let context = accept(&headers(PARENT));
        let span = context.span();
        assert_eq!(span.span_context().trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert!(span.span_context().is_remote() && span.span_context().is_sampled());
    }

    #[test]
    fn a_header_that_can_not_be_read_is_no_context() {
        for parent in ["", "nonsense", "00-00000000000000000000000000000000-00f067aa0ba902b7-01"] {
            assert!(!accept(&headers(parent)).span().span_context().is_valid(), "{parent}");
        }
        assert!(!accept(&HeaderMap::new()).span().span_context().is_valid());
    }
}
