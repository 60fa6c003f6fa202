//! The command line. `--help` is the reference: for every flag it says what the flag does, its unit, its
//! default and its environment variable.

use std::{net::SocketAddr, num::NonZeroU32, path::PathBuf};

use clap::{Args, Parser, Subcommand, builder::FalseyValueParser};
use ipnet::IpNet;
use passerelle_jobs::settings::{DECODING_LEAST_MIB, PREVIEW_AGENT};
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
    /// The command. `serve` when absent.
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
    /// Run the gateway with a simulated WhatsApp server, to try it without a phone
    #[cfg(feature = "sandbox")]
    Sandbox(Sandbox),
    /// Show the whole product at work without a phone: link, send, receive
    #[cfg(feature = "sandbox")]
    Demo(Demo),
    /// Run only the simulated WhatsApp server, for other clients
    #[cfg(feature = "sandbox")]
    Simulator(Simulator),
    /// Migrate the database to the current schema, then exit
    Migrate(StoreFlag),
    /// Print the OpenAPI document
    Openapi(Openapi),
    /// Create organisations and keys without HTTP
    Admin(Admin),
    /// Run the HTTP API of a cluster (needs PostgreSQL)
    Api(Gateway),
    /// Run the WhatsApp sessions of a cluster (needs PostgreSQL)
    Host(Gateway),
    /// Deliver webhooks and fetch files for a cluster (needs PostgreSQL)
    Worker(Gateway),
    /// Process a file from outside in a confined child process; the gateway starts this itself
    #[command(hide = true)]
    Confined {
        /// What to do, and within which limits
        order: String,
    },
}

/// Default number of connections to PostgreSQL.
pub(crate) const DATABASE_CONNECTIONS: u32 = 32;
/// Default number of connections to WhatsApp that are opened per second.
pub(crate) const CONNECTS_PER_SECOND: u32 = 5;
/// Default retention of files, in hours.
pub(crate) const MEDIA_RETENTION_HOURS: u32 = 72;
/// Default time limit for fetching a file from a URL.
pub(crate) const MEDIA_URL_TIMEOUT_MS: u64 = 30_000;
/// Default limit of the used disk space, in percent.
pub(crate) const MEDIA_DISK_MAX: u8 = 85;

/// The flags of the database.
#[derive(Debug, Clone, Args)]
pub struct StoreFlag {
    /// The database: `sqlite:FILE` or `postgres://user:password@host/database`. On another machine PostgreSQL is reached with `sslmode=verify-full`; `?sslrootcert=FILE` names a certificate authority of your own
    #[arg(
        long,
        env = "PASSERELLE_DATABASE_URL",
        default_value = "sqlite:passerelle.db",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub database_url: String,
    /// Maximum number of connections to PostgreSQL that this process opens
    #[arg(
        long,
        env = "PASSERELLE_DATABASE_CONNECTIONS",
        default_value_t = DATABASE_CONNECTIONS,
        value_parser = clap::value_parser!(u32).range(2..=1000),
        value_name = "COUNT"
    )]
    pub database_connections: u32,
    /// Schema of PostgreSQL for the tables, created if it is missing [default: the first one of the user's search path, usually `public`]
    #[arg(long, env = "PASSERELLE_DATABASE_SCHEMA", value_name = "NAME")]
    pub database_schema: Option<String>,
    /// Allow a connection to PostgreSQL on another machine that is not encrypted, or whose certificate is not checked; for private networks only
    #[arg(long, env = "PASSERELLE_DATABASE_PLAIN", value_parser = FalseyValueParser::new())]
    pub database_plain: bool,
}

/// The flag of the key-encryption keys.
#[derive(Debug, Clone, Args)]
pub struct KekFlag {
    /// Key-encryption keys as `id:base64[,id:base64…]`, 32 bytes each. The first one encrypts, the others only decrypt. Prefer the variable: other users of the machine can see flags
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
    /// Address and port of the HTTP server; port 0 takes a free one
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
    /// The operator's key, at least 20 characters. Without this flag a key is created and printed at the first start. Prefer the variable: other users of the machine can see flags
    #[arg(
        long,
        env = "PASSERELLE_ADMIN_KEY",
        hide_env_values = true,
        value_name = "KEY"
    )]
    pub admin_key: Option<String>,
    /// Where media files are stored: a folder, or `s3://bucket[/prefix]` with `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION` and, for a server other than Amazon's, `AWS_ENDPOINT` or `AWS_ENDPOINT_URL`. All processes of a cluster share it [default: `passerelle-media`; a role of a cluster has no default]
    #[arg(long, env = "PASSERELLE_MEDIA_STORE", value_name = "PLACE")]
    pub media_store: Option<String>,
    /// How long a media file is kept, in hours
    #[arg(
        long,
        env = "PASSERELLE_MEDIA_RETENTION_HOURS",
        default_value_t = MEDIA_RETENTION_HOURS,
        value_parser = clap::value_parser!(u32).range(1..=8760),
        value_name = "HOURS"
    )]
    pub media_retention_hours: u32,
    /// Time limit for fetching a file from a URL that a tenant gave, in milliseconds
    #[arg(
        long,
        env = "PASSERELLE_MEDIA_URL_TIMEOUT_MS",
        default_value_t = MEDIA_URL_TIMEOUT_MS,
        value_parser = clap::value_parser!(u64).range(1000..=120_000),
        value_name = "MS"
    )]
    pub media_url_timeout_ms: u64,
    /// How full the disk of the media folder may be, in percent. Above this no file is accepted; texts still work
    #[arg(
        long,
        env = "PASSERELLE_MEDIA_DISK_MAX",
        default_value_t = MEDIA_DISK_MAX,
        value_parser = clap::value_parser!(u8).range(1..=100),
        value_name = "PERCENT"
    )]
    pub media_disk_max: u8,
    /// Files that an organisation may have together, in MiB
    #[arg(long, env = "PASSERELLE_MEDIA_QUOTA", default_value_t = 10 * 1024, value_parser = clap::value_parser!(u64).range(1..=u64::MAX >> 20), value_name = "MIB")]
    pub media_quota: u64,
    /// The largest file that is fetched from WhatsApp by itself, in MiB; a larger one is fetched when the tenant asks for it
    #[arg(long, env = "PASSERELLE_MEDIA_INBOUND_MAX", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=2048), value_name = "MIB")]
    pub media_inbound_max: u64,
    /// How the gateway calls itself (`User-Agent`) when it fetches a page for a link preview
    #[arg(long, env = "PASSERELLE_PREVIEW_USER_AGENT", default_value = PREVIEW_AGENT, value_name = "TEXT")]
    pub preview_user_agent: String,
    /// The program that converts videos and makes their thumbnails; empty for none [default: `ffmpeg` on the path, if it is installed]
    #[arg(long, env = "PASSERELLE_FFMPEG", value_name = "PROGRAM")]
    pub ffmpeg: Option<String>,
    /// Run ffmpeg even where the kernel has no Landlock, which closes the file system to it
    #[arg(long, env = "PASSERELLE_FFMPEG_UNCONFINED")]
    pub ffmpeg_unconfined: bool,
    /// Memory for decoding files, in MiB of address space: a film takes 640, another file 448 [default: 640 for each core, and 1088]
    #[arg(long, env = "PASSERELLE_DECODING_MEMORY", value_parser = clap::value_parser!(u32).range(i64::from(DECODING_LEAST_MIB)..), value_name = "MIB")]
    pub decoding_memory: Option<u32>,
    /// Public base URL of this gateway, `https://…`, for links to files [default: the address of the HTTP server; without it a role of a cluster returns links as paths]
    #[arg(long, env = "PASSERELLE_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<Url>,
    /// Private network to which webhooks may be posted and from which files may be fetched; may be repeated
    #[arg(
        long,
        env = "PASSERELLE_EGRESS_ALLOW",
        value_delimiter = ',',
        value_name = "CIDR"
    )]
    pub egress_allow: Vec<IpNet>,
    /// How careful the gateway is with a number: default or strict [default: default]
    #[arg(long, env = "PASSERELLE_SAFETY", value_name = "PRESET")]
    pub safety: Option<String>,
    /// Minimum time between two messages of a number, in milliseconds, in the preset sandbox
    #[arg(
        long,
        env = "PASSERELLE_GAP_FLOOR_MS",
        default_value_t = 2000,
        value_name = "MS",
        hide = !cfg!(feature = "sandbox")
    )]
    pub gap_floor_ms: u64,
    /// Maximum time between two messages of a number whose queue is not empty, in milliseconds, in the preset sandbox
    #[arg(
        long,
        env = "PASSERELLE_GAP_CEILING_MS",
        default_value_t = 8000,
        value_name = "MS",
        hide = !cfg!(feature = "sandbox")
    )]
    pub gap_ceiling_ms: u64,
    /// How long "typing" is shown before a message in the preset sandbox, in milliseconds; at most the minimum gap [default: 1000]
    #[arg(
        long,
        env = "PASSERELLE_TYPING_MS",
        value_name = "MS",
        hide = !cfg!(feature = "sandbox")
    )]
    pub typing_ms: Option<u64>,
    /// How long to wait for WhatsApp to acknowledge a message, in milliseconds; at least 20000
    #[arg(
        long,
        env = "PASSERELLE_ACK_TIMEOUT_MS",
        default_value_t = 20_000,
        value_name = "MS"
    )]
    pub ack_timeout_ms: u64,
    /// Maximum number of messages in the queue of one session
    #[arg(
        long,
        env = "PASSERELLE_LANE_LIMIT",
        default_value_t = 10_000,
        value_parser = clap::value_parser!(i64).range(1..=1_000_000),
        value_name = "N"
    )]
    pub lane_limit: i64,
    /// Maximum number of sessions of one organisation
    #[arg(
        long,
        env = "PASSERELLE_SESSIONS_PER_ORGANISATION",
        default_value_t = crate::limits::SESSIONS_PER_ORGANISATION,
        value_parser = clap::value_parser!(i64).range(1..=1_000_000),
        value_name = "N"
    )]
    pub sessions_per_organisation: i64,
    /// Requests per minute that an organisation may send, to all processes together; a tenth of them may come at once
    #[arg(
        long,
        env = "PASSERELLE_REQUESTS_PER_MINUTE",
        default_value_t = crate::limits::REQUESTS_PER_MINUTE,
        value_name = "N"
    )]
    pub requests_per_minute: NonZeroU32,
    /// Maximum number of connections that one IP address (of IPv6 one /64) may have open to one process; of the addresses of this machine itself half of all
    #[arg(
        long,
        env = "PASSERELLE_CONNECTIONS_PER_ADDRESS",
        default_value_t = crate::limits::CONNECTIONS_PER_ADDRESS,
        value_name = "N"
    )]
    pub connections_per_address: NonZeroU32,
    /// Address or network of a reverse proxy in front of the gateway; may be repeated. `X-Forwarded-For` counts only on its connections, and its connections are not limited by --connections-per-address
    #[arg(
        long,
        env = "PASSERELLE_TRUSTED_PROXIES",
        value_delimiter = ',',
        value_name = "CIDR"
    )]
    pub trusted_proxies: Vec<String>,
    /// Name of this host: stable across restarts, and unique in the cluster [default: `embedded`; for a role of a cluster the name of the machine]
    #[arg(long, env = "PASSERELLE_HOST", value_name = "NAME")]
    pub host: Option<String>,
    /// Redis server through which the processes of a cluster wake each other and distribute webhooks and files to fetch: `rediss://[user:password@]host[:port][/db]`, or `redis://…` on this machine. Without it every process polls the database once per second
    #[arg(
        long,
        env = "PASSERELLE_REDIS_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub redis_url: Option<String>,
    /// File of the certificate authority (PEM) that signs the certificate of Redis [default: the system's authorities]
    #[arg(long, env = "PASSERELLE_REDIS_CA", value_name = "FILE")]
    pub redis_ca: Option<PathBuf>,
    /// Allow a connection to Redis on another machine that is not encrypted; for private networks only
    #[arg(long, env = "PASSERELLE_REDIS_PLAIN", value_parser = FalseyValueParser::new())]
    pub redis_plain: bool,
    /// Connections to WhatsApp that are opened per second at first. The rate is halved when WhatsApp refuses, and rises again to at most four times this value
    #[arg(
        long,
        env = "PASSERELLE_CONNECTS_PER_SECOND",
        default_value_t = CONNECTS_PER_SECOND,
        value_parser = clap::value_parser!(u32).range(1..=1000),
        value_name = "N"
    )]
    pub connects_per_second: u32,
    /// Name of the public IP address that this host connects from. Hosts with the same name share one connection rate [default: the name of the host]
    #[arg(long, env = "PASSERELLE_EGRESS_NAME", value_name = "NAME")]
    pub egress_name: Option<String>,
    /// WhatsApp server on loopback to connect to: `ws://127.0.0.1:PORT/ws/chat`
    #[arg(long, env = "PASSERELLE_WHATSAPP_URL", value_name = "URL", hide = !cfg!(feature = "sandbox"))]
    pub whatsapp_url: Option<String>,
    /// File to which the addresses and the operator's key are written as JSON once the gateway is ready, for scripts
    #[arg(long, env = "PASSERELLE_ANNOUNCE", value_name = "FILE")]
    pub announce: Option<PathBuf>,
}

/// The flags of the document.
#[derive(Debug, Clone, Args)]
pub struct Openapi {
    /// Leave out the webhooks, for generators that make each of them a call of the client
    #[arg(long)]
    pub no_webhooks: bool,
    /// Print it as OpenAPI 3.0.3, which knows no webhooks, instead of 3.1.0
    #[arg(long)]
    pub three_zero: bool,
}

/// The flags of the sandbox.
#[cfg(feature = "sandbox")]
#[derive(Debug, Clone, Args)]
pub struct Sandbox {
    #[command(flatten)]
    pub gateway: Gateway,
    /// Address and port of the simulated WhatsApp server, on loopback; port 0 takes a free one
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
    /// Exit after the last step; the exit status is 0 only if every step succeeded
    #[arg(long)]
    pub once: bool,
    /// Address and port of the HTTP server; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    pub listen: SocketAddr,
}

/// The flags of the simulated WhatsApp server.
#[cfg(feature = "sandbox")]
#[derive(Debug, Clone, Args)]
pub struct Simulator {
    /// Port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// File to which the addresses are written as JSON once the server is ready
    #[arg(long, value_name = "FILE")]
    pub announce: Option<PathBuf>,
    /// Number of ledger entries to keep; the oldest are dropped
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

/// The operator's commands, one by one.
#[derive(Debug, Clone, Subcommand)]
pub enum AdminCommand {
    /// Create an organisation
    CreateOrganisation {
        /// Name of the organisation, 1 to 100 characters
        #[arg(long)]
        name: String,
    },
    /// List the 100 newest organisations
    ListOrganisations,
    /// Set how long the files of an organisation are kept, including existing files
    SetMediaRetention {
        /// Id of the organisation, `org_…`
        #[arg(long)]
        organisation: String,
        /// Retention in hours; without it the files are kept as long as those of every organisation
        #[arg(long)]
        hours: Option<u32>,
        /// The gateway's own retention of files, in hours
        #[arg(
            long,
            env = "PASSERELLE_MEDIA_RETENTION_HOURS",
            default_value_t = MEDIA_RETENTION_HOURS,
            value_parser = clap::value_parser!(u32).range(1..=8760),
            value_name = "HOURS"
        )]
        media_retention_hours: u32,
    },
    /// Create an API key of an organisation; it is printed only once
    CreateKey {
        /// Id of the organisation, `org_…`
        #[arg(long)]
        organisation: String,
        /// What the key is for, 1 to 100 characters
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
