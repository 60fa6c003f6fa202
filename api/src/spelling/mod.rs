//! What people paste: recipients, phone numbers and files in base64, in the forms that they have elsewhere.
//!
//! What names one thing only is accepted, and answers show its normal form. What may mean two things is refused.

pub(crate) mod base64;
pub(crate) mod phone;
mod plain;
pub(crate) mod recipient;
