//! A process from start to stop.
//!
//! Start: port, store, migrations, vault, brain, roles, HTTP; what fails, fails before anything is
//! served, but for a PostgreSQL that is not reached, which is waited for ([`waiting`]). Stop: no new connections, streams end, requests finish; then the roles finish what is in
//! flight and sessions disconnect (never log out); then the store closes. At most 25 seconds.

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
    KekRing, LOG_FILTER, Services, Store, Vault, WhatsApp,
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
    auth::{self, AdminKey},
    cli::StoreFlag,
    config::Config,
    next_steps,
    quota::Quotas,
    server,
    surface::{self, Parts},
    waiting, watchdog,
};

/// For requests in flight.
const HTTP_GRACE: Duration = Duration::from_secs(8);
/// For messages in flight and sessions.
const ROLES_GRACE: Duration = Duration::from_secs(16);
/// Between two clean-ups of the metrics' samples.
const UPKEEP: Duration = Duration::from_secs(5);
/// Seconds; bounds of the histogram of answer times.
const SECONDS: [f64; 9] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.0, 10.0];
/// Libraries that show what passes through them when asked for detail: never below this level.
const QUIET: &str = "hyper=info,hyper_util=info,h2=info,reqwest=info,rustls=info,poem=info,sqlx=warn,tungstenite=info";

/// What a process does of the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Everything, embedded.
    All,
    /// HTTP.
    Api,
    /// Sessions and their lanes.
    Host,
    /// Webhooks and files.
    Worker,
}

/// Logs to stderr: `PASSERELLE_LOG` (or `RUST_LOG`) filters, `PASSERELLE_LOG_FORMAT=json` for machines.
/// The WhatsApp library's own lines name phone numbers and stay off whatever the filter says.
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

/// The wanted directives without those that would have the last word over ours: the directive with
/// the longest target counts, wherever it stands.
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

/// The process's metrics. Once a process.
pub fn metrics() -> anyhow::Result<PrometheusHandle> {
    let builder = PrometheusBuilder::new()
        .set_buckets(&SECONDS)
        .context("setting the histogram's bounds")?;
    builder
        .install_recorder()
        .context("installing the metrics recorder")
}

/// A gateway at work.
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
    /// Starts it; when this returns it serves.
    pub async fn start(
        config: Config,
        role: Role,
        metrics: PrometheusHandle,
    ) -> anyhow::Result<Self> {
        let listener = listen(&config).await?;
        let store = waiting::open(&config.store, &config.kek, &listener).await?;
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
        settings.media.objects = Objects::open(&config.media_store)
            .with_context(|| format!("opening {} (--media-store)", config.media_store))?;
        let confinement = Confinement::default();
        if matches!(role, Role::All | Role::Api | Role::Worker) {
            settings.media.ffmpeg = Ffmpeg::find(config.ffmpeg.as_deref(), &confinement);
        }
        settings.media.confinement = Some(confinement.clone());
        settings.media.public_url = config.public_url.unwrap_or_else(|| own_url(role, addr));
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
                .context("keeping the operator's key")?,
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
        running.wake(&services);
        running.keep_time(&services);
        upkeep(&running, metrics.clone(), stop.clone());
        watchdog::start(running.tasks(), stop.clone())?;
        let (admin_key, guard) = match admin {
            Admin::Given(key) => (Some(key.clone()), AdminKey::new(Some(key))),
            Admin::Made(key) => (made_admin_key.then_some(key), AdminKey::default()),
        };
        let parts = Parts {
            services: services.clone(),
            admin: guard,
            quotas: Quotas::new(config.requests_per_minute),
            stop: stop.clone(),
            metrics,
        };
        let serving = server::serve(listener, surface::surface(parts), stop.clone(), HTTP_GRACE);
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

    /// Where it serves.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The operator's key, where this process knows it.
    pub fn admin_key(&self) -> Option<&str> {
        self.admin_key.as_deref()
    }

    /// The operator's key to print, when it was made at this start.
    pub fn made_admin_key(&self) -> Option<&str> {
        self.admin_key().filter(|_| self.made_admin_key)
    }

    /// Stops it in order.
    pub async fn stop(self) {
        tracing::info!("stopping");
        self.stop.cancel();
        // A film would take longer than a stop may.
        self.confinement.end();
        if let Err(error) = self.http.await {
            tracing::error!(%error, "the HTTP server ended badly");
        }
        self.running.shutdown(ROLES_GRACE).await;
        self.store.close().await;
        tracing::info!("stopped");
    }
}

async fn listen(config: &Config) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(config.listen).await;
    listener.with_context(|| format!("listening on {}", config.listen))
}

/// With what links to files begin when nobody says.
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

/// The process's one seed of chance; everything else is handed a source made from it.
pub fn chance() -> StdRng {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that takes the seed from the system"
    )]
    StdRng::from_rng(&mut rand::rng())
}

/// Opens the store and brings its tables up to date. Where the keys are wrong nothing is changed.
pub async fn open(flag: &StoreFlag, kek: &KekRing) -> anyhow::Result<Store> {
    let store = open_as_it_is(flag).await?;
    Vault::migrate(&store, kek)
        .await
        .context("bringing the store's tables up to date")?;
    Ok(store)
}

/// Opens the store, brings its tables up to date and closes it.
pub async fn migrate(flag: &StoreFlag) -> anyhow::Result<()> {
    let store = open_as_it_is(flag).await?;
    store
        .migrate()
        .await
        .context("bringing the store's tables up to date")?;
    store.close().await;
    Ok(())
}

async fn open_as_it_is(flag: &StoreFlag) -> anyhow::Result<Store> {
    Store::open_with(&flag.database_url, flag.database_connections)
        .await
        .context("opening the store (--database-url)")
}

/// Tells on stderr why the process ends.
pub fn complain(error: &anyhow::Error) {
    let mut out = std::io::stderr().lock();
    // There is nobody left to tell that stderr is closed.
    let _ = writeln!(out, "passerelle: {error:#}");
}

fn upkeep(running: &Running, metrics: PrometheusHandle, stop: CancellationToken) {
    running.tasks().spawn(async move {
        while !stop.is_cancelled() {
            metrics.run_upkeep();
            tokio::select! {
                () = tokio::time::sleep(UPKEEP) => {}
                () = stop.cancelled() => {}
            }
        }
    });
}

/// The wish that the process ends: SIGTERM or SIGINT. Heard from here on, so one that comes while
/// the process starts ends it in order, too.
pub struct Asked {
    term: Signal,
    int: Signal,
}

impl Asked {
    /// Listens.
    pub fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate()).context("listening for SIGTERM")?,
            int: signal(SignalKind::interrupt()).context("listening for SIGINT")?,
        })
    }

    /// Returns when the process is asked to end.
    pub async fn to_stop(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}

/// Returns when the process is asked to end: SIGTERM or SIGINT.
pub async fn asked_to_stop() -> anyhow::Result<()> {
    Asked::listen()?.to_stop().await;
    Ok(())
}

/// Runs a gateway until it is asked to stop.
pub async fn run(config: Config, role: Role) -> anyhow::Result<()> {
    let announce = config.announce.clone();
    let mut asked = Asked::listen()?;
    let listener = listen(&config).await?;
    let store = tokio::select! {
        store = waiting::open(&config.store, &config.kek, &listener) => store?,
        () = asked.to_stop() => return Ok(()),
    };
    let gateway = Gateway::on(listener, store, config, role, metrics()?).await?;
    tell(&gateway)?;
    // Lines for people would not be JSON; a host and a worker of a cluster serve no operation.
    if matches!(role, Role::All | Role::Api) && !logs_are_json() {
        next_steps::print(&next_steps::serve(&next_steps::local_url(gateway.addr())))?;
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

/// Prints the operator's key, the one time it can be. Not a log line: logs are kept and read by others.
pub fn tell(gateway: &Gateway) -> anyhow::Result<()> {
    let Some(key) = gateway.made_admin_key() else {
        return Ok(());
    };
    let mut out = std::io::stderr().lock();
    writeln!(out, "The operator's key, shown this once: {key}")
        .context("printing the operator's key")
}

/// Writes the addresses to `file`, whole or not at all, so that a script may wait for the file.
pub fn announce(file: &Path, gateway: &Gateway, control: Option<&str>) -> anyhow::Result<()> {
    let told = serde_json::json!({
        "api": format!("http://{}", gateway.addr()),
        "control": control,
        "admin_key": gateway.admin_key(),
    });
    place(file, &told)
}

/// Writes JSON to `file` by way of a file beside it.
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
