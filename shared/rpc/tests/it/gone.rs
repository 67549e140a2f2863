//! Work stops when nobody waits for it any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::Request;
use tonic::body::Body;

use crate::fixture::{HANG, bounds, frame, guarded, sizes};
use crate::served::{Served, config, head, send, until};

/// Calls that are worked on.
#[derive(Clone, Default)]
struct Work(Arc<AtomicUsize>);

struct Working(Arc<AtomicUsize>);

impl Work {
    fn begin(&self) -> Working {
        self.0.fetch_add(1, Ordering::Relaxed);
        Working(Arc::clone(&self.0))
    }

    async fn is(&self, expected: usize) -> bool {
        until(async || self.0.load(Ordering::Relaxed) == expected).await
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn serve(work: &Work) -> Served {
    let work = work.clone();
    let service = tower::service_fn(move |_request: Request<Body>| {
        let working = work.begin();
        async move {
            let _working = working;
            std::future::pending().await
        }
    });
    Served::serve(guarded(service, &sizes(), bounds()), config()).await
}

#[tokio::test]
async fn work_stops_when_its_call_is_cancelled() {
    let work = Work::default();
    let served = serve(&work).await;
    let (mut sender, _connection) = served.h2().await;
    let cancelled = send(&mut sender, HANG).await.unwrap();
    let goes_on = send(&mut sender, HANG).await.unwrap();
    assert!(work.is(2).await);
    drop(cancelled);
    assert!(work.is(1).await);
    drop(goes_on);
}

#[tokio::test]
async fn work_stops_when_its_connection_is_gone() {
    let work = Work::default();
    let served = serve(&work).await;
    let (mut sender, connection) = served.h2().await;
    let _answers = (send(&mut sender, HANG).await.unwrap(), send(&mut sender, HANG).await.unwrap());
    assert!(work.is(2).await);
    drop(connection);
    assert!(work.is(0).await);
}

#[tokio::test]
async fn work_stops_at_its_deadline() {
    let work = Work::default();
    let served = serve(&work).await;
    let (sender, _connection) = served.h2().await;
    let mut sender = sender.ready().await.unwrap();
    let mut request = head(HANG);
    request.headers_mut().insert("grpc-timeout", "500m".parse().unwrap());
    let (answer, mut body) = sender.send_request(request, false).unwrap();
    body.send_data(frame(b""), true).unwrap();
    assert!(work.is(1).await);
    answer.await.unwrap();
    assert!(work.is(0).await);
}
