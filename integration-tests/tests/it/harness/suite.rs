//! Suites in this process.

use std::path::PathBuf;
use std::sync::{OnceLock, mpsc};

use zhiyuan_domain::SharedClock;
use zhiyuan_standalone::{Administrator, Options, RunningSuite, Suite};

use super::{Site, scratch};

/// The one suite for all tests that leave each other alone.
static SHARED: OnceLock<Site> = OnceLock::new();

/// A suite that other tests use at the same time.
///
/// It runs on a thread with a runtime of its own, since the runtime of a test ends
/// with the test; and it ends with the process.
pub(crate) fn shared() -> Site {
    SHARED
        .get_or_init(|| {
            let (sender, receiver) = mpsc::channel();
            std::thread::Builder::new()
                .name("suite".into())
                .spawn(move || {
                    let runtime =
                        tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
                    runtime.block_on(async {
                        let suite = Own::start("shared").await;
                        sender.send(suite.site.clone()).unwrap();
                        suite.suite.until_asked_to_stop().await;
                    });
                })
                .unwrap();
            receiver.recv().unwrap_or_else(|_| panic!("the shared suite did not start"))
        })
        .clone()
}

/// A suite for one test alone.
#[derive(Debug)]
pub(crate) struct Own {
    pub(crate) site: Site,
    suite: RunningSuite,
    folder: PathBuf,
}

impl Own {
    /// Starts a suite that lives in a folder of this name.
    pub(crate) async fn start(name: &str) -> Self {
        let options = Options { durable: false, ..Options::in_folder(&scratch::folder(name)) };
        Self::of(options).await
    }

    /// Starts a suite with a clock of one's own.
    pub(crate) async fn with(name: &str, clock: SharedClock) -> Self {
        let folder = scratch::folder(name);
        let options =
            Options { durable: false, clock, system_clock: false, ..Options::in_folder(&folder) };
        Self::of(options).await
    }

    async fn of(options: Options) -> Self {
        let folder = options.data_dir.clone();
        let suite = match Suite::start(options).await {
            Ok(suite) => suite,
            Err(error) => panic!("the suite did not start: {error:#}"),
        };
        let site = Site::new(suite.addresses(), suite.postgres(), suite.files(), &folder);
        Self { site, suite, folder }
    }

    /// The first administrator, made at the first call.
    pub(crate) async fn administrator(&self) -> Administrator {
        self.suite.administrator().await.unwrap()
    }

    /// Stops it; every part must end in time and well.
    pub(crate) async fn stop(self) {
        self.suite.stop().await.unwrap();
        std::fs::remove_dir_all(self.folder).unwrap();
    }
}
