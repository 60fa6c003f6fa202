//! The command line. `--help` is the reference: every flag says what it does, its unit, its
//! default and its variable.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};
use ipnet::IpNet;
use url::Url;

/// A headless, multi-tenant WhatsApp gateway.
#[derive(Debug, Parser)]
#[command(
    name = "passerelle",
    version,
    about,
    args_conflicts_with_subcommands = true
)]
pub struct Cli {
    /// What to do; `serve` when absent.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The flags of `serve`.
    #[command(flatten)]
    pub serve: Gateway,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the gateway, all in one process (the default)
    Serve(Gateway),
    /// Run the gateway together with a WhatsApp server of its own, to try it without a phone
    #[cfg(feature = "sandbox")]
    Sandbox(Sandbox),
    /// Show the whole product at work: link, send, receive; no phone needed
    #[cfg(feature = "sandbox")]
    Demo(Demo),
    /// Run only the WhatsApp server, for other clients
    #[cfg(feature = "sandbox")]
    Simulator(Simulator),
    /// Bring the store's tables up to date and end
    Migrate(StoreFlag),
    /// Print the OpenAPI document
    Openapi,
    /// Make organisations and keys without HTTP
    Admin(Admin),
    /// Run the HTTP front door of a cluster (PostgreSQL)
    Api(Gateway),
    /// Run sessions of a cluster (PostgreSQL)
    Host(Gateway),
    /// Deliver webhooks of a cluster (PostgreSQL)
    Worker(Gateway),
    /// What the gateway starts itself as, to work on a file that a stranger made
    #[command(hide = true)]
    Confined {
        /// What to do, and what it may take
        order: String,
    },
}

/// Connections to PostgreSQL unless the operator says otherwise.
pub(crate) const DATABASE_CONNECTIONS: u32 = 32;
/// Connections to WhatsApp opened a second unless the operator says otherwise.
pub(crate) const CONNECTS_PER_SECOND: u32 = 5;
/// Hours that a file is kept unless the operator says otherwise.
pub(crate) const MEDIA_RETENTION_HOURS: u32 = 72;
/// How long a file at an address may take unless the operator says otherwise.
pub(crate) const MEDIA_URL_TIMEOUT_MS: u64 = 30_000;
/// How full the disk may be unless the operator says otherwise.
pub(crate) const MEDIA_DISK_MAX: u8 = 85;

/// Where the store is.
#[derive(Debug, Clone, Args)]
pub struct StoreFlag {
    /// `sqlite:FILE` or `postgres://user:password@host/database`
    #[arg(
        long,
        env = "PASSERELLE_DATABASE_URL",
        default_value = "sqlite:passerelle.db",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub database_url: String,
    /// Connections that this process opens to PostgreSQL, at most
    #[arg(
        long,
        env = "PASSERELLE_DATABASE_CONNECTIONS",
        default_value_t = DATABASE_CONNECTIONS,
        value_parser = clap::value_parser!(u32).range(2..=1000),
        value_name = "COUNT"
    )]
    pub database_connections: u32,
}

/// The key-encryption keys.
#[derive(Debug, Clone, Args)]
pub struct KekFlag {
    /// Key-encryption keys as `id:base64[,id:base64…]`, 32 bytes each; the first one seals. Prefer the variable
    #[arg(
        long,
        env = "PASSERELLE_KEK",
        hide_env_values = true,
        value_name = "ID:BASE64"
    )]
    pub kek: Option<String>,
}

/// The flags of a running gateway.
#[derive(Debug, Clone, Args)]
pub struct Gateway {
    /// Address and port to serve HTTP on; port 0 takes a free one
    #[arg(
        long,
        env = "PASSERELLE_LISTEN",
        default_value = "127.0.0.1:8080",
        value_name = "ADDRESS"
    )]
    pub listen: SocketAddr,
    #[command(flatten)]
    pub store: StoreFlag,
    #[command(flatten)]
    pub kek: KekFlag,
    /// The operator's key, at least 20 characters. Without it one is made and printed at the first start. Prefer the variable
    #[arg(
        long,
        env = "PASSERELLE_ADMIN_KEY",
        hide_env_values = true,
        value_name = "KEY"
    )]
    pub admin_key: Option<String>,
    /// Where files are kept: a folder, or `s3://bucket[/prefix]` with `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION` and, for a server other than Amazon's, `AWS_ENDPOINT`. The processes of a cluster share it [default: `passerelle-media`; none for a role of a cluster]
    #[arg(long, env = "PASSERELLE_MEDIA_STORE", value_name = "PLACE")]
    pub media_store: Option<String>,
    /// How long a file is kept, in hours
    #[arg(
        long,
        env = "PASSERELLE_MEDIA_RETENTION_HOURS",
        default_value_t = MEDIA_RETENTION_HOURS,
        value_parser = clap::value_parser!(u32).range(1..=8760),
        value_name = "HOURS"
    )]
    pub media_retention_hours: u32,
    /// How long a file at an address that a tenant gave may take, in milliseconds
    #[arg(
        long,
        env = "PASSERELLE_MEDIA_URL_TIMEOUT_MS",
        default_value_t = MEDIA_URL_TIMEOUT_MS,
        value_parser = clap::value_parser!(u64).range(1000..=120_000),
        value_name = "MS"
    )]
    pub media_url_timeout_ms: u64,
    /// How full the disk of the folder may be, in percent: beyond it no file is taken in, and texts go on
    #[arg(
        long,
        env = "PASSERELLE_MEDIA_DISK_MAX",
        default_value_t = MEDIA_DISK_MAX,
        value_parser = clap::value_parser!(u8).range(1..=100),
        value_name = "PERCENT"
    )]
    pub media_disk_max: u8,
    /// The program that converts films and makes their thumbnails; empty for none [default: `ffmpeg` on the path, if it is installed]
    #[arg(long, env = "PASSERELLE_FFMPEG", value_name = "PROGRAM")]
    pub ffmpeg: Option<String>,
    /// Where the outside reaches this gateway, as `https://…`: links to files begin with it [default: the address it listens on; for a role of a cluster links are told without it]
    #[arg(long, env = "PASSERELLE_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<Url>,
    /// Networks inside which webhooks may be posted and files fetched, in spite of being private; may be repeated
    #[arg(
        long,
        env = "PASSERELLE_EGRESS_ALLOW",
        value_delimiter = ',',
        value_name = "CIDR"
    )]
    pub egress_allow: Vec<IpNet>,
    /// Least time between two messages of a number, in milliseconds; at least 1000
    #[arg(
        long,
        env = "PASSERELLE_GAP_FLOOR_MS",
        default_value_t = 2000,
        value_name = "MS"
    )]
    pub gap_floor_ms: u64,
    /// Most time between two messages of a number that is behind, in milliseconds
    #[arg(
        long,
        env = "PASSERELLE_GAP_CEILING_MS",
        default_value_t = 8000,
        value_name = "MS"
    )]
    pub gap_ceiling_ms: u64,
    /// How long "typing" is shown before a message, in milliseconds; at most the gap's floor [default: 1000]
    #[arg(long, env = "PASSERELLE_TYPING_MS", value_name = "MS")]
    pub typing_ms: Option<u64>,
    /// How long WhatsApp may take to acknowledge a message, in milliseconds; at least 20000
    #[arg(
        long,
        env = "PASSERELLE_ACK_TIMEOUT_MS",
        default_value_t = 20_000,
        value_name = "MS"
    )]
    pub ack_timeout_ms: u64,
    /// Messages that may wait in the lane of one session
    #[arg(
        long,
        env = "PASSERELLE_LANE_LIMIT",
        default_value_t = 10_000,
        value_name = "N"
    )]
    pub lane_limit: i64,
    /// Requests an organisation may make in a minute to one process; a tenth of them may come at once
    #[arg(
        long,
        env = "PASSERELLE_REQUESTS_PER_MINUTE",
        default_value_t = 600,
        value_name = "N"
    )]
    pub requests_per_minute: u32,
    /// This host's name, the same over restarts and no other's in the cluster [default: `embedded`; for a role of a cluster the machine's name]
    #[arg(long, env = "PASSERELLE_HOST", value_name = "NAME")]
    pub host: Option<String>,
    /// The Redis server through which the processes of a cluster wake each other and share out webhooks and files to fetch, as `redis://[user:password@]host[:port][/db]`. Without one each looks for itself once a second
    #[arg(
        long,
        env = "PASSERELLE_REDIS_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub redis_url: Option<String>,
    /// Connections to WhatsApp that are opened a second, at first; halved when WhatsApp refuses, and raised again up to four times this
    #[arg(
        long,
        env = "PASSERELLE_CONNECTS_PER_SECOND",
        default_value_t = CONNECTS_PER_SECOND,
        value_name = "N"
    )]
    pub connects_per_second: u32,
    /// A name for the address that this host connects from: hosts that are given the same one share its connections a second [default: the host's own name]
    #[arg(long, env = "PASSERELLE_EGRESS_NAME", value_name = "NAME")]
    pub egress_name: Option<String>,
    /// The WhatsApp server to talk to, on loopback: `ws://127.0.0.1:PORT/ws/chat`
    #[arg(long, env = "PASSERELLE_WHATSAPP_URL", value_name = "URL", hide = !cfg!(feature = "sandbox"))]
    pub whatsapp_url: Option<String>,
    /// Once ready, write addresses and the operator's key to this file as JSON, for scripts
    #[arg(long, env = "PASSERELLE_ANNOUNCE", value_name = "FILE")]
    pub announce: Option<PathBuf>,
}

/// The flags of the sandbox.
#[cfg(feature = "sandbox")]
#[derive(Debug, Clone, Args)]
pub struct Sandbox {
    #[command(flatten)]
    pub gateway: Gateway,
    /// Address and port of the WhatsApp server, on loopback; port 0 takes a free one
    #[arg(
        long,
        env = "PASSERELLE_SIMULATOR_LISTEN",
        default_value = "127.0.0.1:0",
        value_name = "ADDRESS"
    )]
    pub simulator_listen: SocketAddr,
}

/// The flags of the demo.
#[cfg(feature = "sandbox")]
#[derive(Debug, Clone, Args)]
pub struct Demo {
    /// End after the last step; exit status 0 only if every step held
    #[arg(long)]
    pub once: bool,
    /// Address and port to serve HTTP on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    pub listen: SocketAddr,
}

/// The flags of the WhatsApp server.
#[cfg(feature = "sandbox")]
#[derive(Debug, Clone, Args)]
pub struct Simulator {
    /// Port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// Once ready, write its addresses to this file as JSON
    #[arg(long, value_name = "FILE")]
    pub announce: Option<PathBuf>,
    /// Entries that the ledger keeps, the newest ones
    #[arg(long, value_name = "N", default_value_t = passerelle_simulator::LEDGER_ENTRIES)]
    pub ledger_entries: usize,
}

/// The operator's commands.
#[derive(Debug, Clone, Args)]
pub struct Admin {
    #[command(flatten)]
    pub store: StoreFlag,
    #[command(flatten)]
    pub kek: KekFlag,
    #[command(subcommand)]
    pub command: AdminCommand,
}

/// What the operator can do without HTTP.
#[derive(Debug, Clone, Subcommand)]
pub enum AdminCommand {
    /// Make an organisation
    CreateOrganisation {
        /// 1 to 100 characters
        #[arg(long)]
        name: String,
    },
    /// List the newest hundred organisations
    ListOrganisations,
    /// Keep an organisation's files for a time of its own, those that are here, too
    SetMediaRetention {
        /// `org_…`
        #[arg(long)]
        organisation: String,
        /// From when a file came in; left out: as long as the gateway keeps files
        #[arg(long)]
        hours: Option<u32>,
        /// How long the gateway keeps files, in hours
        #[arg(
            long,
            env = "PASSERELLE_MEDIA_RETENTION_HOURS",
            default_value_t = MEDIA_RETENTION_HOURS,
            value_parser = clap::value_parser!(u32).range(1..=8760),
            value_name = "HOURS"
        )]
        media_retention_hours: u32,
    },
    /// Make an API key of an organisation; it is printed once
    CreateKey {
        /// `org_…`
        #[arg(long)]
        organisation: String,
        /// What it is for, 1 to 100 characters
        #[arg(long)]
        name: String,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn serve_is_what_happens_without_a_command() {
        let cli = Cli::try_parse_from(["passerelle", "--listen", "127.0.0.1:0"]).unwrap();
        assert!(cli.command.is_none());
        assert_eq!(cli.serve.listen.port(), 0);
    }

    #[test]
    #[cfg(not(feature = "sandbox"))]
    fn a_build_for_real_numbers_shows_no_sandbox() {
        let help = Cli::command().render_long_help().to_string();
        for word in ["sandbox", "demo", "simulator", "whatsapp-url"] {
            assert!(
                !help.contains(&format!("  {word}")) && !help.contains(&format!("--{word}")),
                "{word}"
            );
        }
    }
}
