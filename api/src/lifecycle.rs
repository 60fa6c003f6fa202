//! A process from start to stop.
//!
//! Start: port, store, migrations, vault, services, roles, HTTP. A failure ends the process before it serves
//! anything, except that it waits for a PostgreSQL that cannot be reached ([`waiting`]).
//!
//! Stop: no new connections, streams end, requests finish. Then the roles finish the work in flight and the
//! sessions disconnect (they never log out). Then the store closes. This takes at most 25 seconds.

use std::{
    io::{IsTerminal as _, Write as _},
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use passerelle_jobs::{
    LOG_FILTER, Services, Store, Vault, WhatsApp,
    clock::Clock,
    keys,
    media::{Confinement, Ffmpeg, Objects},
    roles::Running,
    time,
};
use rand::{SeedableRng as _, rngs::StdRng};
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::{
    addresses::Addresses,
    auth::{self, AdminKey},
    common_limit,
    config::Config,
    next_steps,
    quota::Quotas,
    server,
    surface::{self, Parts},
    waiting, watchdog,
};

/// Time for requests in flight at a stop.
const HTTP_GRACE: Duration = Duration::from_secs(8);
/// Time for messages in flight and sessions at a stop.
const ROLES_GRACE: Duration = Duration::from_secs(16);
/// Time between two clean-ups of the samples of the metrics.
const UPKEEP: Duration = Duration::from_secs(5);
/// The bounds of the histogram of response times, in seconds.
const SECONDS: [f64; 9] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.0, 10.0];
/// Libraries that log request data at finer levels. They are never below this level.
const QUIET: &str = "hyper=info,hyper_util=info,h2=info,reqwest=info,rustls=info,poem=info,sqlx=warn,tungstenite=info";

/// The role of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Everything in one process.
    All,
    /// The HTTP API.
    Api,
    /// The sessions and their queues.
    Host,
    /// The webhooks and the files to fetch.
    Worker,
}

/// Logs to stderr. `PASSERELLE_LOG` (or `RUST_LOG`) sets the filter, `PASSERELLE_LOG_FORMAT=json` the format.
/// The lines of the WhatsApp library contain phone numbers and are always off.
pub fn logs() {
    let wanted = ["PASSERELLE_LOG", "RUST_LOG"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok());
    let wanted = wanted
        .filter(|filter| !filter.is_empty())
        .unwrap_or_else(|| "info".to_owned());
    let filter = EnvFilter::builder().parse_lossy(quiet(&wanted));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    if logs_are_json() {
        lines.json().init();
    } else {
        lines.with_ansi(std::io::stderr().is_terminal()).init();
    }
}

fn logs_are_json() -> bool {
    std::env::var("PASSERELLE_LOG_FORMAT").is_ok_and(|format| format == "json")
}

/// Removes directives that would override ours. The directive with the longest target wins, at any position.
fn quiet(wanted: &str) -> String {
    let ours = format!("{QUIET},{LOG_FILTER}");
    let targets: Vec<_> = ours
        .split(',')
        .filter_map(|directive| Some(directive.split_once('=')?.0.trim()))
        .collect();
    let left: Vec<_> = wanted
        .split(',')
        .filter(|directive| {
            !targets
                .iter()
                .any(|target| directive.trim().starts_with(target))
        })
        .chain([ours.as_str()])
        .collect();
    left.join(",")
}

/// Installs the metrics recorder. Must be called only once per process.
pub fn metrics() -> anyhow::Result<PrometheusHandle> {
    let builder = PrometheusBuilder::new()
        .set_buckets(&SECONDS)
        .context("setting the histogram's bounds")?;
    builder
        .install_recorder()
        .context("installing the metrics recorder")
}

/// A running gateway.
pub struct Gateway {
    addr: SocketAddr,
    admin_key: Option<String>,
    made_admin_key: bool,
    services: Services,
    store: Store,
    running: Running,
    http: JoinHandle<()>,
    confinement: Confinement,
    stop: CancellationToken,
}

impl Gateway {
    /// Starts the gateway. When this returns, it serves requests.
    pub async fn start(
        config: Config,
        role: Role,
        metrics: PrometheusHandle,
    ) -> anyhow::Result<Self> {
        check_redis(&config).await?;
        let listener = listen(&config).await?;
        let store = waiting::open(&config.store, &config.kek, &listener, &config.addresses);
        let store = store.await?;
        Self::on(listener, store, config, role, metrics).await
    }

    async fn on(
        listener: TcpListener,
        store: Store,
        config: Config,
        role: Role,
        metrics: PrometheusHandle,
    ) -> anyhow::Result<Self> {
        let addr = listener.local_addr().context("reading the own address")?;
        let clock = Clock::system();
        let mut settings = config.settings;
        settings.egress.warn();
        settings.media.objects = Objects::open(&config.media_store, settings.media.disk_max)
            .with_context(|| format!("opening {} (--media-store)", config.media_store))?;
        let confinement = Confinement::default();
        if matches!(role, Role::All | Role::Api | Role::Worker) {
            let unconfined = config.ffmpeg_unconfined;
            settings.media.ffmpeg =
                Ffmpeg::find(config.ffmpeg.as_deref(), &confinement, unconfined);
        }
        settings.media.confinement = Some(confinement.clone());
        settings.media.public_url = config.public_url.unwrap_or_else(|| own_url(role, addr));
        let idle = confinement.clone().end_idle();
        let vault = Vault::open(&store, config.kek, clock.clone())
            .await
            .context("opening the vault")?;
        let mut chance = chance();
        let admin = admin_key(config.admin_key, &mut chance);
        let services = Services::new(store.clone(), vault, clock.clone(), settings, chance);
        time::set(&services).await?;
        let made_admin_key = match &admin {
            Admin::Given(_) => false,
            Admin::Made(key) => keys::keep_admin(&services, key.as_bytes())
                .await
                .context("storing the operator's key")?,
        };
        let stop = CancellationToken::new();
        let running = Running::idle();
        let whatsapp = WhatsApp::new(
            config.whatsapp,
            config.connects,
            clock,
            running.tasks().clone(),
        );
        if matches!(role, Role::All | Role::Host) {
            running.host(&services, whatsapp.clone());
        }
        if matches!(role, Role::All | Role::Worker) {
            running
                .deliver(&services)
                .context("starting the webhooks")?;
            running
                .fetch(&services, whatsapp)
                .context("starting to fetch files")?;
            running
                .preview(&services)
                .context("starting to fetch link previews")?;
            running.sweep(&services);
        }
        running.tasks().spawn(idle);
        running.wake(&services);
        running.follow(&services);
        running.keep_time(&services);
        upkeep(
            &running,
            metrics.clone(),
            Arc::clone(&config.addresses),
            stop.clone(),
        );
        watchdog::start(running.tasks(), stop.clone())?;
        let (admin_key, guard) = match admin {
            Admin::Given(key) => (Some(key.clone()), AdminKey::new(Some(key))),
            Admin::Made(key) => (made_admin_key.then_some(key), AdminKey::default()),
        };
        let quotas = Quotas::new(config.requests_per_minute);
        if matches!(role, Role::All | Role::Api) {
            let sharing = common_limit::share(services.clone(), quotas.clone(), stop.clone());
            running.tasks().spawn(sharing);
        }
        let parts = Parts {
            services: services.clone(),
            admin: guard,
            quotas,
            addresses: Arc::clone(&config.addresses),
            stop: stop.clone(),
            metrics,
        };
        let (surface, stopping) = (surface::surface(parts), stop.clone());
        let serving = server::serve(listener, surface, config.addresses, stopping, HTTP_GRACE);
        let http = running.tasks().spawn(serving);
        tracing::info!(address = %addr, "serving on http://{addr}");
        Ok(Self {
            addr,
            admin_key,
            made_admin_key,
            services,
            store,
            running,
            http,
            confinement,
            stop,
        })
    }

    /// Returns the address of the HTTP server.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Returns the operator's key if this process knows it.
    pub fn admin_key(&self) -> Option<&str> {
        self.admin_key.as_deref()
    }

    /// Returns the operator's key if it was created at this start.
    pub fn made_admin_key(&self) -> Option<&str> {
        self.admin_key().filter(|_| self.made_admin_key)
    }

    /// Stops the gateway in order.
    pub async fn stop(self) {
        tracing::info!("stopping");
        self.stop.cancel();
        // Converting a video would take longer than a stop may.
        self.confinement.end();
        if let Err(error) = self.http.await {
            tracing::error!(%error, "the HTTP server failed");
        }
        self.running.shutdown(ROLES_GRACE).await;
        self.store.close().await;
        tracing::info!("stopped");
    }
}

/// Ends a start whose connection to Redis would not be safe.
async fn check_redis(config: &Config) -> anyhow::Result<()> {
    let Some(redis) = &config.settings.redis else {
        return Ok(());
    };
    redis.warn();
    Ok(redis.check().await?)
}

async fn listen(config: &Config) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(config.listen).await;
    listener.with_context(|| format!("listening on {}", config.listen))
}

/// Returns the default base URL of file links.
fn own_url(role: Role, addr: SocketAddr) -> Arc<str> {
    match role {
        Role::All => format!("http://{addr}").into(),
        Role::Api | Role::Host | Role::Worker => "".into(),
    }
}

enum Admin {
    Given(String),
    Made(String),
}

fn admin_key(given: Option<String>, chance: &mut StdRng) -> Admin {
    given.map_or_else(|| Admin::Made(auth::new_admin_key(chance)), Admin::Given)
}

/// Returns the random source of the process. All other sources are made from it.
pub fn chance() -> StdRng {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that takes the seed from the system"
    )]
    StdRng::from_rng(&mut rand::rng())
}

/// Prints on stderr why the process ends.
pub fn complain(error: &anyhow::Error) {
    let mut out = std::io::stderr().lock();
    // If stderr is closed, there is no other place to report it.
    let _ = writeln!(out, "passerelle: {error:#}");
}

fn upkeep(
    running: &Running,
    metrics: PrometheusHandle,
    addresses: Arc<Addresses>,
    stop: CancellationToken,
) {
    running.tasks().spawn(async move {
        while !stop.is_cancelled() {
            metrics.run_upkeep();
            addresses.forget_quiet();
            tokio::select! {
                () = tokio::time::sleep(UPKEEP) => {}
                () = stop.cancelled() => {}
            }
        }
    });
}

/// The signals that ask the process to stop: SIGTERM and SIGINT. It listens from its creation on, so that a
/// signal during the start also stops the process in order.
pub struct Asked {
    term: Signal,
    int: Signal,
}

impl Asked {
    /// Starts to listen.
    pub fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate()).context("listening for SIGTERM")?,
            int: signal(SignalKind::interrupt()).context("listening for SIGINT")?,
        })
    }

    /// Returns when the process is asked to stop.
    pub async fn to_stop(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}

/// Returns when the process is asked to stop by SIGTERM or SIGINT.
pub async fn asked_to_stop() -> anyhow::Result<()> {
    Asked::listen()?.to_stop().await;
    Ok(())
}

/// Runs a gateway until it is asked to stop.
pub async fn run(config: Config, role: Role) -> anyhow::Result<()> {
    let announce = config.announce.clone();
    let mut asked = Asked::listen()?;
    check_redis(&config).await?;
    let listener = listen(&config).await?;
    let store = tokio::select! {
        store = waiting::open(&config.store, &config.kek, &listener, &config.addresses) => store?,
        () = asked.to_stop() => return Ok(()),
    };
    let gateway = Gateway::on(listener, store, config, role, metrics()?).await?;
    tell(&gateway)?;
    // These lines are not JSON. The host and the worker of a cluster serve no operations.
    if matches!(role, Role::All | Role::Api) && !logs_are_json() {
        next_steps::print(&next_steps::serve(&next_steps::local_url(gateway.addr())));
    }
    if let Some(file) = announce {
        self::announce(&file, &gateway, None)?;
    }
    let usurped = tokio::select! {
        () = asked.to_stop() => false,
        () = gateway.services.usurped() => true,
    };
    gateway.stop().await;
    anyhow::ensure!(
        !usurped,
        "another process was started as the same host: give each a name of its own (--host)"
    );
    Ok(())
}

/// Prints the operator's key if it was created at this start. It is not a log line, because logs are stored
/// and read by others.
pub fn tell(gateway: &Gateway) -> anyhow::Result<()> {
    let Some(key) = gateway.made_admin_key() else {
        return Ok(());
    };
    let mut out = std::io::stderr().lock();
    writeln!(out, "The operator's key, shown this once: {key}")
        .context("printing the operator's key")
}

/// Writes the addresses to `file` in one step, so that a script can wait for the file.
pub fn announce(file: &Path, gateway: &Gateway, control: Option<&str>) -> anyhow::Result<()> {
    let told = serde_json::json!({
        "api": format!("http://{}", gateway.addr()),
        "control": control,
        "admin_key": gateway.admin_key(),
    });
    place(file, &told)
}

/// Writes JSON to a temporary file and renames it to `file`.
pub fn place(file: &Path, told: &serde_json::Value) -> anyhow::Result<()> {
    let mut beside = file.as_os_str().to_owned();
    beside.push(".tmp");
    std::fs::write(&beside, told.to_string())
        .and_then(|()| std::fs::rename(&beside, file))
        .with_context(|| format!("writing {} (--announce)", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_directive_opens_what_names_phone_numbers() {
        let filter = quiet("debug,hyper::proto=trace, Client/PairCode=debug,passerelle=trace");
        assert!(
            filter.starts_with("debug,passerelle=trace,hyper=info"),
            "{filter}"
        );
        assert!(
            !filter.contains("=debug") && filter.contains("Client=off"),
            "{filter}"
        );
    }
}
