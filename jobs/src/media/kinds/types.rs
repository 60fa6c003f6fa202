//! Names of types that several pages use.

/// Bytes of which nothing is known.
pub(crate) const OCTETS: &str = "application/octet-stream";
/// Text of any kind.
pub(super) const TEXT: &str = "text/plain";
pub(super) const ZIP: &str = "application/zip";
pub(super) const OLE: &str = "application/x-ole-storage";
pub(super) const SCRIPT: &str = "text/x-shellscript";
