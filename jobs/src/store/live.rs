//! The state that the process running a session publishes for the other processes.

use passerelle_engine::{lease::Lease, store::Tx};

use super::row::Run as _;

/// The label under which the QR code of a session is encrypted.
pub(crate) const QR: &str = "live.qr";

/// SQL for the last published value of a session whose lease is `e`, if its host was seen since the
/// statement's `$3`. A host that has just taken the lease has published nothing yet.
macro_rules! told {
    ($column:literal) => {
        concat!(
            "(SELECT ",
            $column,
            " FROM lease e JOIN host h ON h.id = e.host_id LEFT JOIN live v ON v.session_id = e.session_id \
             AND v.epoch = e.epoch AND v.boot_id = h.boot_id WHERE e.session_id = s.id AND h.seen_at >= $3)"
        )
    };
}
pub(super) use told;

/// Publishes the state and the QR, in the transaction that checked the lease.
pub(crate) async fn tell(
    tx: &mut Tx,
    lease: &Lease,
    boot: &str,
    state: &str,
    qr_sealed: Option<Vec<u8>>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO live (session_id, org_id, epoch, boot_id, state, qr_sealed) VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (session_id) DO UPDATE SET epoch = excluded.epoch, boot_id = excluded.boot_id, \
         state = excluded.state, qr_sealed = excluded.qr_sealed",
    )
    .bind(lease.session.to_string())
    .bind(lease.org.to_string())
    .bind(lease.epoch)
    .bind(boot)
    .bind(state)
    .bind(qr_sealed)
    .run(tx)
    .await
}
