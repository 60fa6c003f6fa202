//! Where what is sealed of a session lies.

use passerelle_engine::{ids::OrgId, vault::Place};

/// Where the QR of the moment lies.
pub(crate) fn qr_place(org: OrgId, record: &str) -> Place<'_> {
    Place {
        org,
        session: None,
        table: "live.qr",
        record,
    }
}

/// Where the linked number of a session lies.
pub(crate) fn me_place(org: OrgId, record: &str) -> Place<'_> {
    Place {
        org,
        session: None,
        table: "link.me",
        record,
    }
}
