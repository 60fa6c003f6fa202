//! The operator's settings.

use std::{sync::Arc, time::Duration};

use passerelle_engine::clock::Millis;

use crate::{
    media::{confined::Confinement, film::ffmpeg::Ffmpeg, objects::Objects},
    model::millis,
    redis_server::RedisServer,
    safety::pace::Pace,
    webhook::{guard::Egress, schedule::Schedule},
};

/// A host that was not seen for this long is dead: its sessions may be taken.
pub(crate) const DEAD: Duration = Duration::from_secs(15);

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
    /// How files are kept.
    pub media: MediaSettings,
}

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
    /// How work on untrusted bytes is confined; `None` if this process does no such work.
    pub confinement: Option<Confinement>,
    /// Converts videos, if it is installed.
    pub ffmpeg: Option<Ffmpeg>,
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
            confinement: None,
            ffmpeg: None,
        }
    }

    /// Returns whether the disk is too full for more files. Text messages are not affected.
    pub(crate) fn is_full(&self) -> bool {
        let fullness = self.objects.fullness();
        fullness.is_some_and(|percent| percent > self.disk_max)
    }

    /// Returns when a file that is created now is deleted.
    pub(crate) fn delete_at(&self, now: Millis) -> Millis {
        now.saturating_add(millis(self.retention))
    }
}
