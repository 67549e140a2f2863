//! Sets logs and traces up, once for a process.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing::subscriber::SetGlobalDefaultError;
use tracing_subscriber::filter::{LevelFilter, ParseError};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, Registry};

use crate::line::{JsonLine, TextLine};
use crate::{Format, TelemetryConfig};

/// How long [`Telemetry::shutdown`] may take.
const FLUSH: Duration = Duration::from_secs(3);

/// Why telemetry can't be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The filter of log lines can't be read.
    #[error("failed to read the log filter")]
    Filter(#[source] ParseError),
    /// The sample ratio is not from 0 to 1.
    #[error("sample ratio {0} is not from 0 to 1")]
    SampleRatio(f64),
    /// The collector's endpoint can't be used.
    #[error("failed to use the collector's endpoint")]
    Endpoint(#[source] ExporterBuildError),
    /// A collector needs a tokio runtime, and there is none here.
    #[error("traces can be exported from inside a tokio runtime only")]
    NoRuntime,
    /// The log file can't be opened.
    #[error("failed to open the log file {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why it can't be opened.
        source: io::Error,
    },
    /// Telemetry is set up already in this process.
    #[error("telemetry is set up already")]
    Again(#[source] SetGlobalDefaultError),
}

/// The telemetry of this process, to be shut down at its end.
#[derive(Debug)]
#[must_use = "the last spans are lost unless it is shut down"]
pub struct Telemetry {
    provider: SdkTracerProvider,
}

/// Sets logs (on standard error) and traces up for this process. `service` is the `service.name`
/// of its spans.
///
/// # Errors
/// A configuration that can't be used, a collector outside a tokio runtime, or a second call.
pub fn init(service: &str, config: &TelemetryConfig) -> Result<Telemetry, Error> {
    install(service, config, io::stderr)
}

/// Sets logs and traces up like [`init`], with the log lines appended to a file.
///
/// # Errors
/// Those of [`init`], and a file that can't be opened.
pub fn init_to_file(
    service: &str,
    config: &TelemetryConfig,
    path: &Path,
) -> Result<Telemetry, Error> {
    let file: File = OpenOptions::new()
        .mode(0o600)
        .create(true)
        .append(true)
        .open(path)
        .map_err(|source| Error::File { path: path.to_owned(), source })?;
    install(service, config, Mutex::new(file))
}

fn install<W>(service: &str, config: &TelemetryConfig, writer: W) -> Result<Telemetry, Error>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::builder().parse(&config.log).map_err(Error::Filter)?;
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(writer);
    let format = tracing_subscriber::fmt::format();
    let lines = match config.format {
        Format::Text => lines.event_format(TextLine(format.with_ansi(false))).boxed(),
        Format::Json => lines
            .fmt_fields(JsonFields::new())
            // All spans around, because the outermost names the service.
            .event_format(JsonLine(format.json().flatten_event(true).with_current_span(false)))
            .boxed(),
    };
    let provider = provider(service, config)?;
    // Its own filter: what is traced doesn't depend on what is logged.
    let traces = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("zhiyuan"))
        .with_filter(LevelFilter::INFO);
    let subscriber = Registry::default().with(lines.with_filter(filter)).with(traces);
    tracing::subscriber::set_global_default(subscriber).map_err(Error::Again)?;
    Ok(Telemetry { provider })
}

/// Makes the source of trace ids, with a collector behind it if there is one.
fn provider(service: &str, config: &TelemetryConfig) -> Result<SdkTracerProvider, Error> {
    if !(0.0..=1.0).contains(&config.sample_ratio) {
        return Err(Error::SampleRatio(config.sample_ratio));
    }
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(config.sample_ratio)));
    let builder = SdkTracerProvider::builder()
        .with_resource(Resource::builder().with_service_name(service.to_owned()).build())
        .with_sampler(sampler);
    let Some(endpoint) = &config.otlp_endpoint else { return Ok(builder.build()) };
    if tokio::runtime::Handle::try_current().is_err() {
        return Err(Error::NoRuntime);
    }
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .with_timeout(FLUSH)
        .build()
        .map_err(Error::Endpoint)?;
    Ok(builder.with_batch_exporter(exporter).build())
}

impl Telemetry {
    /// Sends the spans that are still here, for 3 seconds at most. A collector that doesn't
    /// answer must not hold up the end of the process.
    pub async fn shutdown(self) {
        let flush = tokio::task::spawn_blocking(move || self.provider.shutdown_with_timeout(FLUSH));
        match tokio::time::timeout(FLUSH, flush).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "failed to flush spans");
            }
            Ok(Err(_)) | Err(_) => tracing::warn!("spans were not flushed in time"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Error, init, init_to_file};
    use crate::TelemetryConfig;

    #[test]
    fn rejects_a_configuration_that_can_not_be_used() {
        let config = TelemetryConfig { log: "info,=?".to_owned(), ..TelemetryConfig::default() };
        assert!(matches!(init("x", &config), Err(Error::Filter(_))));
        for ratio in [-0.1, 1.1, f64::NAN] {
            let config = TelemetryConfig { sample_ratio: ratio, ..TelemetryConfig::default() };
            assert!(matches!(init("x", &config), Err(Error::SampleRatio(_))));
        }
        let file = std::path::Path::new("/no/such/directory/log");
        assert!(matches!(
            init_to_file("x", &TelemetryConfig::default(), file),
            Err(Error::File { .. })
        ));
    }

    #[test]
    fn a_collector_needs_a_runtime_and_an_endpoint_that_it_can_speak_to() {
        let with = |endpoint: &str| TelemetryConfig {
            otlp_endpoint: Some(endpoint.to_owned()),
            ..TelemetryConfig::default()
        };
        assert!(matches!(init("x", &with("http://127.0.0.1:4317")), Err(Error::NoRuntime)));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _inside = runtime.enter();
        for endpoint in ["https://127.0.0.1:4317", "not an endpoint"] {
            assert!(matches!(init("x", &with(endpoint)), Err(Error::Endpoint(_))), "{endpoint}");
        }
    }
}
