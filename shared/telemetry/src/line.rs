//! A log line with the trace id in it.

use std::fmt;

use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Format, Full, Json, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Adds the trace id at the end of a line of text.
pub(crate) struct TextLine(pub(crate) Format<Full>);

/// Adds the trace id as the member `trace_id` of a JSON object.
pub(crate) struct JsonLine(pub(crate) Format<Json>);

impl<S, N> FormatEvent<S, N> for TextLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        match trace_id() {
            Some(id) => writeln!(writer, "{} trace_id={id}", line.trim_end()),
            None => writer.write_str(&line),
        }
    }
}

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        match (trace_id(), line.strip_prefix('{')) {
            (Some(id), Some(members)) => write!(writer, "{{\"trace_id\":\"{id}\",{members}"),
            _ => writer.write_str(&line),
        }
    }
}

/// Returns the id of the trace that the thread is in. Not from `Span::current()`: while an event
/// is being dispatched there may be no current subscriber to ask, and the tracing layer keeps the
/// context of the entered span here.
fn trace_id() -> Option<String> {
    let context = Context::current();
    let span = context.span();
    let id = span.span_context();
    id.is_valid().then(|| id.trace_id().to_string())
}
