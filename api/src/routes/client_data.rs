//! `client_ref` and `metadata` of a request.

use passerelle_jobs::model::client_data::{ClientData, ClientRef, Metadata};

use crate::{flaws::Flaws, problem::Code, texts::Texts};

/// What a reference must be.
pub(super) const REFERENCE: &str = "1 to 128 characters, without control characters";
const METADATA: &str = "at most 50 texts with 4,096 bytes of names and texts together; a name has 1 to 40 characters, without control characters";

/// Parses both.
pub(super) fn parse(
    client_ref: Option<&str>,
    metadata: Option<Texts>,
    flaws: &mut Flaws,
) -> ClientData {
    ClientData {
        client_ref: client_ref.and_then(|text| reference(text, flaws)),
        metadata: self::metadata(metadata.unwrap_or_default(), flaws),
    }
}

/// Parses a reference.
pub(super) fn reference(text: &str, flaws: &mut Flaws) -> Option<ClientRef> {
    let parsed = ClientRef::parse(text);
    let code = Code::InvalidClientRef;
    flaws.unless(parsed.is_some(), code, "/client_ref", REFERENCE);
    parsed
}

/// Parses metadata.
pub(super) fn metadata(texts: Texts, flaws: &mut Flaws) -> Metadata {
    let parsed = Metadata::parse(texts.0);
    let code = Code::InvalidMetadata;
    flaws.unless(parsed.is_some(), code, "/metadata", METADATA);
    parsed.unwrap_or_default()
}

/// Returns the metadata as it is shown; `None` if there is none.
pub(super) fn shown(metadata: &Metadata) -> Option<Texts> {
    (!metadata.is_empty()).then(|| Texts(metadata.texts().clone()))
}
