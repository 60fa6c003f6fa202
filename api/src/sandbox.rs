//! The gateway together with a simulated WhatsApp server on loopback. The code path is the same as for real
//! numbers; only the address of the server differs.

use std::{io::Write as _, net::SocketAddr};

use anyhow::Context as _;
use passerelle_jobs::KekRing;
use passerelle_simulator::{Options, Simulator as WhatsAppServer};
use tempfile::TempDir;

use crate::{
    cli::{Gateway as Flags, Sandbox, Simulator},
    config::Config,
    lifecycle::{self, Gateway, Role},
    next_steps,
};

/// The default of `--database-url`.
const UNTOLD: &str = "sqlite:passerelle.db";

/// A simulated WhatsApp server and a gateway that uses it.
pub struct Pair {
    /// The gateway.
    pub gateway: Gateway,
    /// The simulated WhatsApp server.
    pub simulator: WhatsAppServer,
    /// The folder of the store, deleted at the end. `None` if a store was given.
    _folder: Option<TempDir>,
}

impl Pair {
    /// Starts both. Creates the keys and a store in a temporary folder if they were not given.
    pub async fn start(mut flags: Flags, simulator: SocketAddr) -> anyhow::Result<Self> {
        let options = Options {
            listen: simulator,
            ..Options::default()
        };
        let simulator = WhatsAppServer::start(options).context("starting the WhatsApp server")?;
        flags.whatsapp_url.get_or_insert_with(|| simulator.ws_url());
        let loopback = "127.0.0.0/8".parse().expect("a literal network");
        flags.egress_allow.push(loopback);
        let folder = own_store(&mut flags)?;
        own_kek(&mut flags, folder.is_none())?;
        let gateway =
            Gateway::start(Config::check(&flags)?, Role::All, lifecycle::metrics()?).await?;
        Ok(Self {
            gateway,
            simulator,
            _folder: folder,
        })
    }

    /// Stops both, the gateway first.
    pub async fn stop(self) {
        self.gateway.stop().await;
        self.simulator.stop().await;
    }
}

fn own_store(flags: &mut Flags) -> anyhow::Result<Option<TempDir>> {
    if flags.store.database_url != UNTOLD {
        return Ok(None);
    }
    let folder = TempDir::with_prefix("passerelle-").context("making a temporary folder")?;
    let files = folder.path().join("media").display().to_string();
    flags.media_store.get_or_insert(files);
    flags.store.database_url = format!("sqlite:{}", folder.path().join("passerelle.db").display());
    Ok(Some(folder))
}

fn own_kek(flags: &mut Flags, store_stays: bool) -> anyhow::Result<()> {
    if flags.kek.kek.is_some() {
        return Ok(());
    }
    let (_, text) = KekRing::generate();
    if store_stays {
        // Without this key the store cannot be opened again.
        writeln!(
            std::io::stderr().lock(),
            "The key of this store: PASSERELLE_KEK={text}"
        )
        .context("printing the key")?;
    }
    flags.kek.kek = Some(text);
    Ok(())
}

/// Runs `passerelle sandbox`.
pub async fn run(flags: Sandbox) -> anyhow::Result<()> {
    let announce = flags.gateway.announce.clone();
    let pair = Pair::start(flags.gateway, flags.simulator_listen).await?;
    lifecycle::tell(&pair.gateway)?;
    let control = pair.simulator.control_url();
    tracing::info!(control, "the WhatsApp server's control API is at {control}");
    let api = next_steps::local_url(pair.gateway.addr());
    let admin = pair.gateway.admin_key();
    next_steps::print(&next_steps::sandbox(&api, admin, &control));
    if let Some(file) = announce {
        lifecycle::announce(&file, &pair.gateway, Some(&control))?;
    }
    lifecycle::asked_to_stop().await?;
    pair.stop().await;
    Ok(())
}

/// Runs `passerelle simulator`.
pub async fn simulator(flags: Simulator) -> anyhow::Result<()> {
    let listen = SocketAddr::from(([127, 0, 0, 1], flags.port));
    let simulator = WhatsAppServer::start(Options {
        listen,
        ledger_entries: flags.ledger_entries,
        ..Options::default()
    })?;
    let (ws, wss, control) = (
        simulator.ws_url(),
        simulator.wss_url(),
        simulator.control_url(),
    );
    tracing::info!(
        ws,
        wss,
        control,
        "WhatsApp server on {ws}, {wss}; control API at {control}"
    );
    if let Some(file) = flags.announce {
        lifecycle::place(
            &file,
            &serde_json::json!({ "ws": ws, "wss": wss, "control": control }),
        )?;
    }
    lifecycle::asked_to_stop().await?;
    simulator.stop().await;
    Ok(())
}
