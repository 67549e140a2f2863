//! nginx in front of a service, as an operator would set it up who cares for speed.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, geteuid, kill_process};
use tokio::process::Child;

use crate::program::{self, Ends};
use crate::stage;

const WITHIN: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);

/// nginx, running.
#[derive(Debug)]
pub(super) struct Nginx {
    child: Child,
    pub(super) pid: u32,
    pub(super) address: SocketAddr,
}

impl Nginx {
    /// Starts it in front of a service, with a worker for each core as the gateway has a
    /// thread for each.
    pub(super) async fn start(folder: &Path, upstream: SocketAddr) -> anyhow::Result<Self> {
        let nginx = program::find_or_fetch("nginx", folder).await?;
        let folder = folder.join("nginx");
        fs::create_dir_all(&folder)?;
        // Free a moment ago.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let file = folder.join("nginx.conf");
        fs::write(&file, configuration(&folder, address, upstream))?;
        let mut command = program::command(&nginx, Ends::Asked);
        let errors = fs::File::create(folder.join("stderr.log"))?;
        command.arg("-p").arg(&folder).arg("-c").arg(&file).arg("-e").arg(folder.join("error.log"));
        let child = command.stderr(errors).spawn()?;
        let pid = child.id().context("nginx has ended")?;
        let mut nginx = Self { child, pid, address };
        let until = Instant::now() + WITHIN;
        while stage::connect(address).await.is_err() {
            let ended = nginx.child.try_wait()?;
            if ended.is_some() || Instant::now() > until {
                let said = fs::read_to_string(folder.join("stderr.log")).unwrap_or_default();
                anyhow::bail!("nginx does not start: {said}");
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(nginx)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // It ends its workers.
        let pid = self.pid.try_into().ok().and_then(Pid::from_raw);
        let _ = pid.map(|pid| kill_process(pid, Signal::TERM));
        let until = Instant::now() + WITHIN;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > until {
                let _ = self.child.start_kill();
            }
            std::thread::sleep(POLL);
        }
    }
}

fn configuration(folder: &Path, listen: SocketAddr, upstream: SocketAddr) -> String {
    let folder = folder.display();
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    // Its workers would be nobody, who can't enter the folder.
    let user = if geteuid().is_root() { "user root;\n" } else { "" };
    format!(
        "{user}worker_processes {workers};
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    http2_max_concurrent_streams 256;
    upstream service {{
        server {upstream};
        keepalive 256;
        keepalive_requests 1000000000;
        keepalive_timeout 600s;
    }}
    server {{
        listen {listen} http2;
        location / {{ grpc_pass grpc://service; }}
    }}
}}
"
    )
}
