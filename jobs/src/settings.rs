//! The operator's settings.

use std::{path::PathBuf, sync::Arc, time::Duration};

use passerelle_engine::clock::Millis;

use crate::{
    media::{confined::Confinement, error::IngestError, film::ffmpeg::Ffmpeg, objects::Objects},
    model::millis,
    redis_server::RedisServer,
    safety::{pace::Pace, preset::Preset},
    state::decoding,
    webhook::{guard::Egress, schedule::Schedule},
};

pub use crate::state::decoding::LEAST_MIB as DECODING_LEAST_MIB;

/// A host that was not seen for this long is dead: its sessions may be taken.
pub(crate) const DEAD: Duration = Duration::from_secs(15);

/// How full the disk of the database may be, in percent, before files beside it are deleted.
const DATABASE_DISK_MAX: u8 = 95;

/// The operator's settings, checked at start.
#[derive(Debug, Clone)]
pub struct Settings {
    /// This host's name, the same over restarts.
    pub host: Arc<str>,
    /// A name for the address that it connects from: hosts with the same one share one connect rate.
    pub egress_name: Arc<str>,
    /// The Redis server that carries wake-ups between processes, webhook deliveries and
    /// files to fetch. It holds no durable state: without it work is delayed by a second.
    pub redis: Option<RedisServer>,
    /// The gap between two messages of a number.
    pub pace: Pace,
    /// How careful the gateway is with a number.
    pub preset: Preset,
    /// How long WhatsApp's server may take to acknowledge a message.
    pub ack_timeout: Duration,
    /// How long a message may wait in its lane if the caller does not say.
    pub message_ttl: Duration,
    /// The most messages that may wait in one lane.
    pub lane_limit: i64,
    /// The most sessions of one organisation.
    pub session_limit: i64,
    /// Which addresses webhooks may go to and files may be fetched from.
    pub egress: Egress,
    /// When a webhook delivery is retried.
    pub schedule: Schedule,
    /// How the gateway calls itself to the servers of pages whose preview it fetches.
    pub preview_agent: Arc<str>,
    /// How files are kept.
    pub media: MediaSettings,
}

/// The default of [`Settings::preview_agent`]. Phones that make a preview begin so, and many servers answer only
/// agents that are known to make previews.
pub const PREVIEW_AGENT: &str = concat!("WhatsApp/2 passerelle/", env!("CARGO_PKG_VERSION"));

/// How files are kept.
#[derive(Debug, Clone)]
pub struct MediaSettings {
    /// Where files are stored.
    pub objects: Objects,
    /// How long files are kept.
    pub retention: Duration,
    /// The longest time that a file at an address may take, from the DNS look-up to its last byte.
    pub url_within: Duration,
    /// The base URL of file links (`https://…`, without a slash at the end).
    pub public_url: Arc<str>,
    /// How full the disk may be, in percent, before no more files are stored.
    pub disk_max: u8,
    /// The most bytes of files of one organisation.
    pub quota: u64,
    /// The largest file that is fetched from WhatsApp unless the tenant asks for it, in bytes.
    pub inbound_max: u64,
    /// The folder of the database, if it is one file on this machine.
    pub database_folder: Option<PathBuf>,
    /// How work on untrusted bytes is confined; `None` if this process does no such work.
    pub confinement: Option<Confinement>,
    /// Converts videos, if it is installed.
    pub ffmpeg: Option<Ffmpeg>,
    /// Address space in MiB of all confined processes together.
    pub decoding_mib: u32,
}

impl MediaSettings {
    /// Returns the settings of a process that keeps no files.
    pub fn nowhere() -> Self {
        Self {
            objects: Objects::nowhere(),
            retention: Duration::from_hours(72),
            url_within: Duration::from_secs(30),
            public_url: "".into(),
            disk_max: 100,
            quota: u64::MAX,
            inbound_max: u64::MAX,
            database_folder: None,
            confinement: None,
            ffmpeg: None,
            decoding_mib: decoding::default_mib(),
        }
    }

    /// Returns what confines work on untrusted bytes, or an error if this process does no such work.
    pub(crate) fn confinement(&self) -> Result<&Confinement, IngestError> {
        self.confinement.as_ref().ok_or(IngestError::Unconfined)
    }

    /// Returns whether the disk is too full for more files. Text messages are not affected.
    pub(crate) fn is_full(&self) -> bool {
        let fullness = self.objects.fullness();
        fullness.is_some_and(|percent| percent > self.disk_max)
    }

    /// Returns whether the database is on the same disk as the files, and that disk is nearly full.
    pub(crate) fn endangers_database(&self) -> bool {
        let database = self.database_folder.as_deref();
        let fullness = database.and_then(|folder| self.objects.fullness_beside(folder));
        fullness.is_some_and(|percent| percent > DATABASE_DISK_MAX)
    }

    /// Returns when a file that is created now is deleted.
    pub(crate) fn delete_at(&self, now: Millis) -> Millis {
        now.saturating_add(millis(self.retention))
    }
}
