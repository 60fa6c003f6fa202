//! What the cluster's store says about its hosts and sessions, read without using the cluster.

use anyhow::Result;
use sqlx::{Connection as _, PgConnection};

/// A connection to the store of a gateway.
pub(super) struct Look(PgConnection);

impl Look {
    pub(super) async fn into(url: &str) -> Result<Self> {
        Ok(Self(PgConnection::connect(url).await?))
    }

    /// Returns the boot id of a host. `None` before its first heartbeat.
    pub(super) async fn boot(&mut self, host: &str) -> Result<Option<String>> {
        let boot = sqlx::query_scalar("SELECT boot_id FROM host WHERE id = $1");
        Ok(boot.bind(host).fetch_optional(&mut self.0).await?)
    }

    /// Returns how many leases a host has.
    pub(super) async fn leased(&mut self, host: &str) -> Result<u32> {
        let leased = sqlx::query_scalar("SELECT count(*) FROM lease WHERE host_id = $1");
        let leased: i64 = leased.bind(host).fetch_one(&mut self.0).await?;
        Ok(leased.try_into()?)
    }

    /// Returns how many of a host's sessions are connected, as the host itself reports.
    pub(super) async fn connected(&mut self, host: &str) -> Result<u32> {
        let connected = sqlx::query_scalar(
            "SELECT count(*) FROM lease e JOIN host h ON h.id = e.host_id JOIN live v ON v.session_id = e.session_id \
             AND v.epoch = e.epoch AND v.boot_id = h.boot_id WHERE e.host_id = $1 AND v.state = 'connected'",
        );
        let connected: i64 = connected.bind(host).fetch_one(&mut self.0).await?;
        Ok(connected.try_into()?)
    }

    /// Returns how many events of a type exist.
    pub(super) async fn told(&mut self, kind: &str) -> Result<u32> {
        let told = sqlx::query_scalar("SELECT count(*) FROM event WHERE type = $1");
        let told: i64 = told.bind(kind).fetch_one(&mut self.0).await?;
        Ok(told.try_into()?)
    }
}
