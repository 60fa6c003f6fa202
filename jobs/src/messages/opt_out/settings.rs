//! What an organisation does about opt-outs, as it is stored encrypted.

use passerelle_engine::{
    ids::OrgId,
    vault::{DataKey, Place},
};
use sqlx::AnyConnection;

use crate::{
    error::{Fault, if_readable},
    model::OptOutSettings,
    store,
};

/// The label under which it is encrypted.
const SETTINGS: &str = "organisation.opt_out";

/// Encrypts the settings.
pub(crate) fn seal(key: &DataKey, org: OrgId, settings: &OptOutSettings) -> Result<Vec<u8>, Fault> {
    let record = org.to_string();
    Ok(key.seal_json(&Place::of(org, SETTINGS, &record), settings)?)
}

/// Reads the settings of an organisation. What cannot be read is the default: it must not hold up an opt-out.
pub(crate) async fn read(
    conn: &mut AnyConnection,
    key: &DataKey,
    org: OrgId,
) -> Result<OptOutSettings, Fault> {
    let Some(sealed) = store::organisations::opt_out_settings(conn, org).await? else {
        return Ok(OptOutSettings::default());
    };
    let record = org.to_string();
    let opened = key.open_json(&Place::of(org, SETTINGS, &record), &sealed);
    Ok(if_readable("organisation", &org, opened.map_err(Fault::from))?.unwrap_or_default())
}
