//! What the operator decided.

use std::{sync::Arc, time::Duration};

use passerelle_engine::clock::Millis;

use crate::{
    media::{confined::Confinement, film::ffmpeg::Ffmpeg, objects::Objects},
    model::millis,
    safety::pace::Pace,
    webhook::{guard::Egress, schedule::Schedule},
};

/// A host not seen for so long is dead: its sessions may be taken.
pub(crate) const DEAD: Duration = Duration::from_secs(15);

/// What the operator decided, checked at start.
#[derive(Debug, Clone)]
pub struct Settings {
    /// This host's name, the same over restarts.
    pub host: Arc<str>,
    /// The name of the address that it connects from: hosts of one name share how fast it may.
    pub egress_name: Arc<str>,
    /// The Redis server through which the processes of a cluster wake each other, and webhook deliveries
    /// and files to fetch travel (`redis://…`). It holds no truth: without it everything works, a second later.
    pub redis: Option<Arc<str>>,
    /// The gap between two messages of a number.
    pub pace: Pace,
    /// How long WhatsApp's server may take to acknowledge a message.
    pub ack_timeout: Duration,
    /// How long a message may wait in its lane when the caller does not say.
    pub message_ttl: Duration,
    /// Messages that may wait in one lane.
    pub lane_limit: i64,
    /// Which addresses webhooks may go to, and files may be fetched from.
    pub egress: Egress,
    /// When a webhook delivery is tried again.
    pub schedule: Schedule,
    /// How files are kept.
    pub media: MediaSettings,
}

/// How files are kept.
#[derive(Debug, Clone)]
pub struct MediaSettings {
    /// Where.
    pub objects: Objects,
    /// For how long.
    pub retention: Duration,
    /// How long a file at an address may take, from the look-up to its last byte.
    pub url_within: Duration,
    /// Where callers reach this gateway (`https://…`, without a slash at the end), for links.
    pub public_url: Arc<str>,
    /// How full the disk may be, in percent, before no more files come in.
    pub disk_max: u8,
    /// How work on a stranger's bytes is confined; none where there is no such work.
    pub confinement: Option<Confinement>,
    /// What converts films, where it is installed.
    pub ffmpeg: Option<Ffmpeg>,
}

impl MediaSettings {
    /// Of a process that keeps no files.
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

    /// Whether no more files come in. Texts flow all the same.
    pub(crate) fn is_full(&self) -> bool {
        let fullness = self.objects.fullness();
        fullness.is_some_and(|percent| percent > self.disk_max)
    }

    /// When a file that comes in now is deleted.
    pub(crate) fn delete_at(&self, now: Millis) -> Millis {
        now.saturating_add(millis(self.retention))
    }
}
