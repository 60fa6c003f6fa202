//! The binary `passerelle`.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use passerelle::{
    admin,
    cli::{Cli, Command, Gateway},
    config::{self, Config},
    lifecycle::{self, Role},
    store, surface,
};

fn main() -> ExitCode {
    let cli = Cli::parse();
    // This must come before there is a thread, a log or a secret in this process.
    if let Some(Command::Confined { order }) = &cli.command {
        return passerelle_jobs::media::obey(order);
    }
    passerelle_jobs::keep_files_private();
    run(cli)
}

#[tokio::main]
async fn run(cli: Cli) -> ExitCode {
    lifecycle::logs();
    #[cfg(feature = "sandbox")]
    let _armed = passerelle_jobs::crash::arm();
    match start(cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            lifecycle::complain(&error);
            ExitCode::FAILURE
        }
    }
}

async fn start(cli: Cli) -> anyhow::Result<()> {
    // Without exactly one TLS provider the first connection panics.
    let installed = rustls::crypto::ring::default_provider().install_default();
    installed.map_err(|_| anyhow::anyhow!("a TLS provider was installed before ours"))?;
    match cli.command.unwrap_or(Command::Serve(cli.serve)) {
        Command::Serve(flags) => lifecycle::run(Config::check(&flags)?, Role::All).await,
        #[cfg(feature = "sandbox")]
        Command::Sandbox(flags) => passerelle::sandbox::run(flags).await,
        #[cfg(feature = "sandbox")]
        Command::Demo(flags) => passerelle::demo::run(flags).await,
        #[cfg(feature = "sandbox")]
        Command::Simulator(flags) => passerelle::sandbox::simulator(flags).await,
        Command::Migrate(store) => store::migrate(&store).await,
        Command::Confined { .. } => anyhow::bail!("a confined process does not get here"),
        Command::Openapi(flags) => surface::print(&flags).context("printing the document"),
        Command::Admin(command) => admin::run(command).await,
        Command::Api(flags) => role("api", flags, Role::Api).await,
        Command::Host(flags) => role("host", flags, Role::Host).await,
        Command::Worker(flags) => role("worker", flags, Role::Worker).await,
    }
}

async fn role(name: &'static str, mut flags: Gateway, role: Role) -> anyhow::Result<()> {
    config::needs_postgres(name, &flags.store.database_url)?;
    config::needs_media_store(name, &flags)?;
    flags.host = flags.host.or_else(config::machine);
    lifecycle::run(Config::check(&flags)?, role).await
}
