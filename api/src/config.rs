//! The configuration: flags and environment variables, checked before anything is opened.

use std::{
    net::{IpAddr, SocketAddr},
    num::NonZeroU32,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use ipnet::IpNet;
use passerelle_jobs::{
    Address, AddressError, Connects, KekRing, ServerAddress, Settings,
    redis_server::{RedisError, RedisServer},
    safety::{pace::Pace, preset::Preset},
    settings::{MediaSettings, PREVIEW_AGENT},
    webhook::{guard::Egress, schedule::Schedule},
};
use url::Url;

use crate::{
    addresses::Addresses,
    cli::{Gateway, KekFlag, StoreFlag},
};

/// The minimum wait for an acknowledgement. WhatsApp answers within seconds; a shorter wait would mark sent
/// messages as `unknown`.
const ACK_TIMEOUT_MIN: Duration = Duration::from_secs(20);
/// The maximum wait for an acknowledgement, during which the queue of the session is blocked.
const ACK_TIMEOUT_MAX: Duration = Duration::from_mins(5);
/// How long a message may wait in the queue if the caller sets no expiry.
pub(crate) const MESSAGE_TTL: Duration = Duration::from_hours(24);
/// The default place of media files.
const MEDIA_STORE: &str = "passerelle-media";
/// The minimum length of the operator's key, so that it cannot be guessed.
const ADMIN_KEY_MIN: usize = 20;

/// Errors in the configuration. Each names its flag.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No key-encryption key.
    #[error(
        "a key-encryption key is required. It encrypts every WhatsApp key and message in the database, which cannot be read without it.\n\
         Create one, store it in a safe place, and start again:\n\n  \
         export PASSERELLE_KEK=\"k1:$(head -c 32 /dev/urandom | base64)\"\n"
    )]
    NoKek,
    /// A key-encryption key that does not parse.
    #[error("--kek (PASSERELLE_KEK): {0}")]
    Kek(String),
    /// The gaps contradict each other.
    #[error("--gap-floor-ms, --gap-ceiling-ms, --typing-ms: {0}")]
    Pace(#[from] passerelle_jobs::safety::pace::PaceError),
    /// There is no such preset, or this build does not accept it.
    #[error("--safety (PASSERELLE_SAFETY): one of {}", Preset::ACCEPTED.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    Safety,
    /// The wait is out of range.
    #[error("--ack-timeout-ms: must be between {} and {}", ACK_TIMEOUT_MIN.as_millis(), ACK_TIMEOUT_MAX.as_millis())]
    AckTimeout,
    /// Not an address or a network.
    #[error(
        "--trusted-proxies (PASSERELLE_TRUSTED_PROXIES): IP addresses or networks such as 10.0.0.0/8"
    )]
    Proxies,
    /// The address is not allowed.
    #[error("--whatsapp-url: {0}")]
    WhatsApp(String),
    /// The operator's key is too short.
    #[error(
        "--admin-key (PASSERELLE_ADMIN_KEY): at least {ADMIN_KEY_MIN} printable ASCII characters without spaces"
    )]
    AdminKey,
    /// The name of the host is empty or too long.
    #[error("--host: 1 to 100 characters")]
    Host,
    /// The name of the address is empty or too long.
    #[error("--egress-name: 1 to 100 characters")]
    Egress,
    /// The Redis server cannot be used as it is given.
    #[error(transparent)]
    Redis(#[from] RedisError),
    /// The database's address is wrong, or its connection too weak.
    #[error("--database-url (PASSERELLE_DATABASE_URL): {0}")]
    Database(AddressError),
    /// The database's schema cannot be used.
    #[error("--database-schema (PASSERELLE_DATABASE_SCHEMA): {0}")]
    Schema(AddressError),
    /// The processes of a cluster share their files.
    #[error(
        "`{0}` is a role of a cluster. All processes of a cluster share the media files: set a bucket, or a folder that all of them can access (--media-store, PASSERELLE_MEDIA_STORE)"
    )]
    NeedsMediaStore(&'static str),
    /// The name cannot be sent as a header.
    #[error(
        "--preview-user-agent (PASSERELLE_PREVIEW_USER_AGENT): 1 to 200 printable ASCII characters"
    )]
    PreviewAgent,
    /// The URL is not a valid base URL.
    #[error("--public-url: http:// or https:// and a host")]
    PublicUrl,
    /// A cluster needs a database server.
    #[error(
        "`{0}` is a role of a cluster and needs PostgreSQL (--database-url postgres://…). With SQLite, run `passerelle serve`, which does everything in one process"
    )]
    NeedsPostgres(&'static str),
}

/// Where the store is, and how many connections it gets.
pub struct StoreSettings {
    /// Its address.
    pub address: Address,
    /// The most connections to PostgreSQL.
    pub connections: u32,
}

/// A checked configuration.
pub struct Config {
    /// The address of the HTTP server.
    pub listen: SocketAddr,
    /// The store.
    pub store: StoreSettings,
    /// The key-encryption keys.
    pub kek: KekRing,
    /// The operator's key, if it was given.
    pub admin_key: Option<String>,
    /// The WhatsApp server.
    pub whatsapp: ServerAddress,
    /// The rate of new connections to it.
    pub connects: Connects,
    /// Requests per minute of an organisation.
    pub requests_per_minute: NonZeroU32,
    /// The limits of one address.
    pub addresses: Arc<Addresses>,
    /// Where media files are stored.
    pub media_store: String,
    /// The program that converts videos, if it was given; empty for none.
    pub ffmpeg: Option<String>,
    /// Whether it is run where the kernel cannot close the file system to it.
    pub ffmpeg_unconfined: bool,
    /// The public base URL, without a slash at the end, if it was given.
    pub public_url: Option<Arc<str>>,
    /// The file to write the addresses to once the gateway is ready.
    pub announce: Option<PathBuf>,
    /// The settings of `jobs`.
    pub settings: Settings,
}

impl Config {
    /// Checks the flags. Nothing is opened yet.
    pub fn check(flags: &Gateway) -> Result<Self, ConfigError> {
        let kek = kek(&flags.kek)?;
        let floor = Duration::from_millis(flags.gap_floor_ms);
        let typing = flags
            .typing_ms
            .map_or(floor.min(Duration::from_secs(1)), Duration::from_millis);
        let pace = Pace::new(floor, Duration::from_millis(flags.gap_ceiling_ms), typing)?;
        let host = Some(flags.host.as_deref().unwrap_or("embedded"))
            .filter(|host| (1..=100).contains(&host.len()));
        let host = host.ok_or(ConfigError::Host)?;
        let egress_name = Some(flags.egress_name.as_deref().unwrap_or(host))
            .filter(|name| (1..=100).contains(&name.len()));
        Ok(Self {
            listen: flags.listen,
            store: store(&flags.store)?,
            kek,
            admin_key: admin_key(flags.admin_key.as_deref())?,
            whatsapp: whatsapp(flags.whatsapp_url.as_deref())?,
            connects: NonZeroU32::new(flags.connects_per_second)
                .map_or_else(Connects::default, Connects),
            requests_per_minute: flags.requests_per_minute,
            addresses: Addresses::new(
                flags.connections_per_address,
                proxies(&flags.trusted_proxies)?,
            ),
            media_store: flags
                .media_store
                .clone()
                .unwrap_or_else(|| MEDIA_STORE.to_owned()),
            ffmpeg: flags.ffmpeg.clone(),
            ffmpeg_unconfined: flags.ffmpeg_unconfined,
            public_url: public_url(flags.public_url.as_ref())?,
            announce: flags.announce.clone(),
            settings: Settings {
                host: Arc::from(host),
                egress_name: Arc::from(egress_name.ok_or(ConfigError::Egress)?),
                redis: redis(flags)?,
                pace,
                preset: preset(flags.safety.as_deref())?,
                ack_timeout: ack_timeout(flags.ack_timeout_ms)?,
                message_ttl: MESSAGE_TTL,
                lane_limit: flags.lane_limit,
                session_limit: flags.sessions_per_organisation,
                egress: Egress::new(flags.egress_allow.clone()),
                schedule: Schedule::default(),
                preview_agent: preview_agent(&flags.preview_user_agent)?,
                media: MediaSettings {
                    decoding_mib: flags
                        .decoding_memory
                        .unwrap_or(MediaSettings::nowhere().decoding_mib),
                    retention: Duration::from_hours(u64::from(flags.media_retention_hours)),
                    url_within: Duration::from_millis(flags.media_url_timeout_ms),
                    disk_max: flags.media_disk_max,
                    database_folder: store(&flags.store)?.address.folder(),
                    quota: flags.media_quota << 20,
                    inbound_max: flags.media_inbound_max << 20,
                    ..MediaSettings::nowhere()
                },
            },
        })
    }
}

fn preset(given: Option<&str>) -> Result<Preset, ConfigError> {
    let Some(given) = given else {
        return Ok(Preset::of_build());
    };
    let preset = given.parse().ok();
    preset
        .filter(|preset| Preset::ACCEPTED.contains(preset))
        .ok_or(ConfigError::Safety)
}

/// Returns settings for commands that run no sessions.
pub fn at_rest() -> Settings {
    Settings {
        host: Arc::from("admin"),
        egress_name: Arc::from("admin"),
        redis: None,
        pace: Pace::default(),
        preset: Preset::of_build(),
        ack_timeout: ACK_TIMEOUT_MIN,
        message_ttl: MESSAGE_TTL,
        lane_limit: 1,
        session_limit: 1,
        egress: Egress::new(Vec::new()),
        schedule: Schedule::default(),
        preview_agent: Arc::from(PREVIEW_AGENT),
        media: MediaSettings::nowhere(),
    }
}

/// Checks the name that servers of pages get to see. It is sent as a header.
fn preview_agent(text: &str) -> Result<Arc<str>, ConfigError> {
    let is_plain = |text: &&str| text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let agent = Some(text.trim()).filter(|text| (1..=200).contains(&text.len()));
    let agent = agent.filter(is_plain).ok_or(ConfigError::PreviewAgent)?;
    Ok(Arc::from(agent))
}

/// Parses networks and single addresses. An empty variable means none.
fn proxies(texts: &[String]) -> Result<Vec<IpNet>, ConfigError> {
    let texts = texts.iter().map(|text| text.trim());
    let network = |text: &str| {
        let address = || text.parse::<IpAddr>().map(IpNet::from);
        text.parse().or_else(|_| address())
    };
    texts
        .filter(|text| !text.is_empty())
        .map(|text| network(text).map_err(|_| ConfigError::Proxies))
        .collect()
}

/// Parses the key-encryption keys. At least one is required.
pub fn kek(flag: &KekFlag) -> Result<KekRing, ConfigError> {
    let text = flag
        .kek
        .as_deref()
        .filter(|text| !text.trim().is_empty())
        .ok_or(ConfigError::NoKek)?;
    KekRing::parse(text).map_err(|error| ConfigError::Kek(error.to_string()))
}

fn redis(flags: &Gateway) -> Result<Option<RedisServer>, ConfigError> {
    let Some(url) = flags.redis_url.as_deref().filter(|url| !url.is_empty()) else {
        return Ok(None);
    };
    let authority = flags.redis_ca.as_deref();
    Ok(Some(RedisServer::parse(url, authority, flags.redis_plain)?))
}

/// Checks where the store is.
pub fn store(flag: &StoreFlag) -> Result<StoreSettings, ConfigError> {
    let schema = flag
        .database_schema
        .as_deref()
        .filter(|name| !name.is_empty());
    let address = Address::parse(&flag.database_url, schema, flag.database_plain);
    let address = address.map_err(|error| match error {
        AddressError::Schema(_) | AddressError::NoSchemas => ConfigError::Schema(error),
        _ => ConfigError::Database(error),
    })?;
    Ok(StoreSettings {
        address,
        connections: flag.database_connections,
    })
}

fn public_url(url: Option<&Url>) -> Result<Option<Arc<str>>, ConfigError> {
    let Some(url) = url else {
        return Ok(None);
    };
    let plain = matches!(url.scheme(), "http" | "https") && url.query().is_none();
    plain
        .then(|| Some(Arc::from(url.as_str().trim_end_matches('/'))))
        .ok_or(ConfigError::PublicUrl)
}

fn ack_timeout(ms: u64) -> Result<Duration, ConfigError> {
    let timeout = Duration::from_millis(ms);
    let least = if cfg!(feature = "sandbox") {
        Duration::from_millis(1)
    } else {
        ACK_TIMEOUT_MIN
    };
    (least..=ACK_TIMEOUT_MAX)
        .contains(&timeout)
        .then_some(timeout)
        .ok_or(ConfigError::AckTimeout)
}

fn whatsapp(url: Option<&str>) -> Result<ServerAddress, ConfigError> {
    let Some(url) = url else {
        return Ok(ServerAddress::real());
    };
    ServerAddress::parse(url).map_err(|error| ConfigError::WhatsApp(error.to_string()))
}

fn admin_key(key: Option<&str>) -> Result<Option<String>, ConfigError> {
    let Some(key) = key.filter(|key| !key.is_empty()) else {
        return Ok(None);
    };
    let plain = key.bytes().all(|b| b.is_ascii_graphic());
    let fits = plain && key.len() >= ADMIN_KEY_MIN;
    fits.then(|| Some(key.to_owned()))
        .ok_or(ConfigError::AdminKey)
}

/// Returns the default name of a host in a cluster: the name of the machine. Fly and container engines make it
/// unique, and keep it across restarts of the process.
pub fn machine() -> Option<String> {
    let told = std::env::var("FLY_MACHINE_ID").ok();
    let name = told.or_else(|| std::fs::read_to_string("/proc/sys/kernel/hostname").ok())?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// Refuses a role of a cluster without a shared place for media files.
pub fn needs_media_store(role: &'static str, flags: &Gateway) -> Result<(), ConfigError> {
    let told = flags.media_store.is_some();
    told.then_some(()).ok_or(ConfigError::NeedsMediaStore(role))
}

/// Refuses a role of a cluster with SQLite.
pub fn needs_postgres(role: &'static str, database_url: &str) -> Result<(), ConfigError> {
    let shared = database_url.starts_with("postgres:") || database_url.starts_with("postgresql:");
    shared.then_some(()).ok_or(ConfigError::NeedsPostgres(role))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::Cli;

    const KEK: &str = "k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    fn check(flags: &[&str]) -> anyhow::Result<Config> {
        let flags = ["passerelle", "--kek", KEK].iter().chain(flags);
        Ok(Config::check(&Cli::try_parse_from(flags)?.serve)?)
    }

    #[test]
    fn a_start_without_a_key_encryption_key_is_told_how_to_make_one() {
        let told = kek(&KekFlag { kek: None }).err().unwrap().to_string();
        assert!(told.contains("head -c 32 /dev/urandom | base64"), "{told}");
        assert!(matches!(
            kek(&KekFlag {
                kek: Some("k1:short".to_owned())
            }),
            Err(ConfigError::Kek(_))
        ));
    }

    #[test]
    fn each_wrong_flag_is_refused_by_its_name() {
        for (flags, named) in [
            (["--gap-ceiling-ms", "1"], "--gap-ceiling-ms"),
            (["--ack-timeout-ms", "300001"], "--ack-timeout-ms"),
            (["--lane-limit", "0"], "--lane-limit"),
            (["--lane-limit", "1000001"], "--lane-limit"),
            (
                ["--sessions-per-organisation", "0"],
                "--sessions-per-organisation",
            ),
            (["--requests-per-minute", "0"], "--requests-per-minute"),
            (["--host", ""], "--host"),
            (["--egress-name", ""], "--egress-name"),
            (["--connects-per-second", "0"], "--connects-per-second"),
            (["--connects-per-second", "1001"], "--connects-per-second"),
            (["--redis-url", "localhost"], "--redis-url"),
            (["--redis-url", "redis://redis"], "--redis-plain"),
            (["--database-url", "postgres://h:x/y"], "--database-url"),
            (
                ["--database-url", "postgres://h/x?sslmode=prefer"],
                "--database-plain",
            ),
            (["--database-schema", "x"], "--database-schema"),
            (["--public-url", "ftp://shop.example"], "--public-url"),
            (["--admin-key", "short"], "--admin-key"),
            (
                ["--whatsapp-url", "ws://192.0.2.1/ws/chat"],
                "--whatsapp-url",
            ),
        ] {
            let told = check(&flags).err().unwrap().to_string();
            assert!(told.contains(named), "{told}");
        }
        assert!(check(&[]).is_ok());
    }

    #[test]
    fn a_number_waits_two_to_eight_seconds_unless_the_operator_says_otherwise() {
        let pace = check(&[]).unwrap().settings.pace;
        let [floor, ceiling, typing] = [2, 8, 1].map(Duration::from_secs);
        assert_eq!(Ok(pace), Pace::new(floor, ceiling, typing));
    }

    #[test]
    #[cfg(not(feature = "sandbox"))]
    fn a_build_for_real_numbers_takes_no_other_server_and_no_hurry() {
        assert!(check(&["--whatsapp-url", "ws://127.0.0.1:1/ws/chat"]).is_err());
        assert!(check(&["--gap-floor-ms", "999"]).is_err());
        assert!(check(&["--ack-timeout-ms", "19999"]).is_err());
    }

    #[test]
    fn a_role_of_a_cluster_is_refused_on_sqlite() {
        assert!(needs_postgres("host", "sqlite:passerelle.db").is_err());
        assert!(needs_postgres("host", "postgres://localhost/passerelle").is_ok());
    }
}
