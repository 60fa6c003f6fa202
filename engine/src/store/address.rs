//! The address of the store. Off this machine, a connection to PostgreSQL is encrypted and the
//! server's certificate is checked, unless the operator says otherwise.

use std::{
    borrow::Cow,
    net::IpAddr,
    path::{Path, PathBuf},
    str::FromStr as _,
    sync::Arc,
};

use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use sqlx::{postgres::PgConnectOptions, sqlite::SqliteConnectOptions};
use url::Url;

/// The names of `sslmode` in an address, of PostgreSQL and of sqlx.
const MODE: [&str; 2] = ["sslmode", "ssl-mode"];
/// The names of `sslrootcert` in an address.
const AUTHORITY: [&str; 3] = ["sslrootcert", "ssl-root-cert", "ssl-ca"];
/// The longest name that PostgreSQL keeps.
const NAME_MAX: usize = 63;

/// What is wrong with an address. No text contains the address, which may have a password in it.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// It does not parse.
    #[error("neither sqlite:FILE nor postgres://user:password@host/database ({0})")]
    Malformed(String),
    /// It asks for less than a checked certificate.
    #[error(
        "`{host}` is not this machine, so its certificate must be checked: sslmode={mode} is too weak. Use sslmode=verify-full, or allow the weaker connection with --database-plain (PASSERELLE_DATABASE_PLAIN=true)"
    )]
    Weak {
        /// The server.
        host: String,
        /// The mode that was asked for.
        mode: String,
    },
    /// The file of the certificate authority cannot be used.
    #[error("sslrootcert={file}: {reason}")]
    Authority {
        /// The file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The schema's name cannot be used.
    #[error(
        "`{0}` cannot be used: 1 to {NAME_MAX} of a-z, 0-9 and _, not beginning with a digit or with pg_"
    )]
    Schema(String),
    /// A schema was named, but SQLite has none.
    #[error("SQLite has no schemas: give each gateway a file of its own")]
    NoSchemas,
}

/// A checked address.
#[derive(Debug, Clone)]
pub struct Address {
    pub(super) url: Arc<str>,
    pub(super) schema: Option<Schema>,
    unprotected: Option<String>,
}

impl Address {
    /// Parses `sqlite:FILE` or `postgres://…`. With `plain`, a server on another machine may be
    /// reached without a checked certificate.
    pub fn parse(url: &str, schema: Option<&str>, plain: bool) -> Result<Self, AddressError> {
        let schema = schema.map(Schema::parse).transpose()?;
        if is_sqlite(url) {
            if schema.is_some() {
                return Err(AddressError::NoSchemas);
            }
            return Ok(Self {
                url: Arc::from(url),
                schema: None,
                unprotected: None,
            });
        }
        let (url, unprotected) = protected(url, plain)?;
        Ok(Self {
            url: Arc::from(url),
            schema,
            unprotected,
        })
    }

    /// Returns the folder of the database, if it is a file on this machine.
    pub fn folder(&self) -> Option<PathBuf> {
        let options = is_sqlite(&self.url).then(|| SqliteConnectOptions::from_str(&self.url));
        let file = options?.ok()?.get_filename().to_owned();
        let folder = file
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        Some(folder.unwrap_or(Path::new(".")).to_owned())
    }

    /// Logs a warning if the connection to the server is not protected.
    pub fn warn(&self) {
        if let Some(mode) = &self.unprotected {
            tracing::warn!(
                sslmode = mode,
                "the connection to PostgreSQL is not protected (--database-plain): who can reach the network between can read and change everything"
            );
        }
    }
}

/// Returns whether an address is one of SQLite.
pub(super) fn is_sqlite(url: &str) -> bool {
    url.starts_with("sqlite:")
}

/// Returns the address with its `sslmode` spelled out, and that mode if it protects nothing.
fn protected(url: &str, plain: bool) -> Result<(String, Option<String>), AddressError> {
    let malformed = |error: &dyn std::fmt::Display| AddressError::Malformed(error.to_string());
    let options = PgConnectOptions::from_str(url).map_err(|error| malformed(&error))?;
    let mut url = Url::parse(url).map_err(|error| malformed(&error))?;
    if !matches!(url.scheme(), "postgres" | "postgresql") {
        return Err(malformed(&"another scheme"));
    }
    forget_system_file(&mut url);
    let pairs: Vec<_> = url.query_pairs().into_owned().collect();
    let last = |names: &[&str]| {
        let named = |(name, _): &&(String, String)| names.contains(&name.as_str());
        pairs
            .iter()
            .rev()
            .find(named)
            .map(|(_, value)| value.clone())
    };
    if let Some(file) = last(&AUTHORITY) {
        readable(&file)?;
    }
    let here = options.get_socket().is_some() || is_this_machine(options.get_host());
    let told = last(&MODE).or_else(|| std::env::var("PGSSLMODE").ok());
    let mode = match (told, here, plain) {
        (Some(mode), ..) => mode,
        (None, true, _) => "disable".to_owned(),
        (None, false, true) => "prefer".to_owned(),
        (None, false, false) => "verify-full".to_owned(),
    };
    let weak = !here && !mode.eq_ignore_ascii_case("verify-full");
    if weak && !plain {
        let host = options.get_host().to_owned();
        return Err(AddressError::Weak { host, mode });
    }
    url.query_pairs_mut().append_pair(MODE[0], &mode);
    Ok((url.into(), weak.then_some(mode)))
}

/// Removes `sslrootcert=system`, which newer tools write: the system's certificates are known anyway.
fn forget_system_file(url: &mut Url) {
    let is_default = |(name, value): &(Cow<'_, str>, Cow<'_, str>)| {
        AUTHORITY.contains(&&**name) && value == "system"
    };
    if url.query_pairs().any(|pair| is_default(&pair)) {
        let rest = url.query_pairs().filter(|pair| !is_default(pair));
        let rest: Vec<_> = rest
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        url.query_pairs_mut().clear().extend_pairs(rest);
    }
}

/// Checks that a file has a certificate in it.
fn readable(file: &str) -> Result<(), AddressError> {
    let bad = |reason: String| AddressError::Authority {
        file: file.to_owned(),
        reason,
    };
    if file.contains("-----BEGIN CERTIFICATE-----") {
        return Ok(());
    }
    let pem = std::fs::read(file).map_err(|error| bad(error.to_string()))?;
    has_certificate(&pem).then_some(()).ok_or_else(|| {
        bad("not a file of certificates (PEM, -----BEGIN CERTIFICATE-----)".to_owned())
    })
}

/// Returns whether there is at least one certificate in a PEM file, and nothing that is none.
pub fn has_certificate(pem: &[u8]) -> bool {
    let mut certificates = CertificateDer::pem_slice_iter(pem).peekable();
    certificates.peek().is_some() && certificates.all(|one| one.is_ok())
}

/// Returns whether a host of an address is always this machine, so that nobody is in between: a
/// socket's folder, `localhost`, `127.0.0.0/8` or `::1`. Other names are not looked up.
pub fn is_this_machine(host: &str) -> bool {
    let host = host.strip_prefix('[').unwrap_or(host);
    let host = host.strip_suffix(']').unwrap_or(host);
    let name = host.strip_suffix('.').unwrap_or(host);
    host.starts_with('/')
        || name.eq_ignore_ascii_case("localhost")
        || IpAddr::from_str(host).is_ok_and(|address| address.to_canonical().is_loopback())
}

/// The name of a schema. It needs no quotes, but a word of SQL such as `user` does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Schema(Arc<str>);

impl Schema {
    fn parse(name: &str) -> Result<Self, AddressError> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let starts = name
            .bytes()
            .next()
            .is_some_and(|byte| !byte.is_ascii_digit());
        let taken = name.starts_with("pg_") || name == "information_schema";
        (starts && !taken && name.len() <= NAME_MAX && name.bytes().all(plain))
            .then(|| Self(Arc::from(name)))
            .ok_or_else(|| AddressError::Schema(name.to_owned()))
    }

    /// Returns it as part of a statement.
    pub(super) fn quoted(&self) -> String {
        format!("\"{}\"", self.0)
    }

    /// Returns it as a value.
    pub(super) fn name(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the mode that an address connects with, and whether it warns.
    fn mode(url: &str, plain: bool) -> Result<(String, bool), AddressError> {
        let address = Address::parse(url, None, plain)?;
        let (_, mode) = address.url.rsplit_once("sslmode=").unwrap();
        Ok((mode.to_owned(), address.unprotected.is_some()))
    }

    #[test]
    fn this_machine_is_told_from_others() {
        for here in [
            "localhost",
            "LOCALHOST",
            "localhost.",
            "127.0.0.1",
            "127.255.255.254",
            "::1",
            "[::1]",
            "::ffff:127.0.0.1",
            "/var/run/postgresql",
        ] {
            assert!(is_this_machine(here), "{here}");
        }
        for other in [
            "db.example.com",
            "postgres",
            "localhost.example.com",
            "127.0.0.1.example.com",
            "10.0.0.1",
            "128.0.0.1",
            "0.0.0.0",
            "::",
            "::ffff:10.0.0.1",
            "fdaa::3",
            "127.1",
            "2130706433",
            "",
        ] {
            assert!(!is_this_machine(other), "{other}");
        }
    }

    #[test]
    fn another_machine_is_reached_with_a_checked_certificate_or_by_permission() {
        for (url, plain, expected) in [
            ("postgres://u:p@db.example.com/x", false, "verify-full"),
            ("postgresql://u@10.0.0.1/x", false, "verify-full"),
            ("postgres://u@[fdaa::3]/x", false, "verify-full"),
            (
                "postgres://u@localhost/x?host=db.example.com",
                false,
                "verify-full",
            ),
            (
                "postgres://u@localhost/x?hostaddr=10.0.0.1",
                false,
                "verify-full",
            ),
            (
                "postgres://u@db.example.com/x?sslmode=verify-full",
                true,
                "verify-full",
            ),
            ("postgres://u@localhost/x", false, "disable"),
            ("postgres://u@127.0.0.1/x", false, "disable"),
            ("postgres://u@[::1]/x", false, "disable"),
            (
                "postgres://u@db.example.com/x?host=/run/postgresql",
                false,
                "disable",
            ),
            ("postgres://u@%2Frun%2Fpostgresql/x", false, "disable"),
            ("postgres://u@localhost/x?sslmode=require", false, "require"),
        ] {
            let (found, warns) = mode(url, plain).unwrap();
            assert_eq!((found.as_str(), warns), (expected, false), "{url}");
        }
        for weak in [
            "disable",
            "allow",
            "prefer",
            "require",
            "verify-ca",
            "PREFER",
        ] {
            let url = format!("postgres://u:secret@db.example.com/x?sslmode={weak}");
            let refused = mode(&url, false).unwrap_err().to_string();
            assert!(refused.contains("--database-plain") && refused.contains(weak));
            assert!(!refused.contains("secret"), "{refused}");
            assert_eq!(mode(&url, true).unwrap(), (weak.to_owned(), true));
        }
        // The last one counts, whatever it is called.
        let twice = "postgres://u@db.example.com/x?sslmode=verify-full&ssl-mode=disable";
        assert!(mode(twice, false).is_err());
        let plain = mode("postgres://u@db.example.com/x", true).unwrap();
        assert_eq!(plain, ("prefer".to_owned(), true));
    }

    #[test]
    fn a_file_of_authorities_is_read_before_anything_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        let url = format!(
            "postgres://u@db.example.com/x?sslrootcert={}",
            file.display()
        );
        let told = mode(&url, false).unwrap_err().to_string();
        assert!(told.starts_with("sslrootcert="), "{told}");
        std::fs::write(&file, "no certificate").unwrap();
        let told = mode(&url, false).unwrap_err().to_string();
        assert!(told.contains("not a file of certificates"), "{told}");
        let system = Address::parse(
            "postgres://u@db.example.com/x?sslrootcert=system",
            None,
            false,
        );
        assert!(!system.unwrap().url.contains("system"));
    }

    #[test]
    fn an_address_that_is_none_is_refused_without_being_repeated() {
        for url in [
            "mysql://u:secret@h/x",
            "postgres://u:secret@h:port/x",
            "secret",
            "postgres://u:secret@h/x?sslmode=sometimes",
        ] {
            let told = mode(url, false).unwrap_err().to_string();
            assert!(!told.contains("secret"), "{told}");
        }
    }

    #[test]
    fn a_schema_has_a_plain_name() {
        let named = |name| Address::parse("postgres://u@localhost/x", Some(name), false);
        let longest = "a".repeat(63);
        for good in ["passerelle", "user", "_x", "a1", longest.as_str()] {
            assert_eq!(named(good).unwrap().schema.unwrap().name(), good);
        }
        let long = format!("{longest}a");
        for bad in [
            "",
            "1a",
            "Shop",
            "a-b",
            "a b",
            "a\"b",
            "é",
            "pg_x",
            "information_schema",
            long.as_str(),
        ] {
            assert!(matches!(named(bad), Err(AddressError::Schema(_))), "{bad}");
        }
        let sqlite = Address::parse("sqlite:x.db", Some("x"), false);
        assert!(matches!(sqlite, Err(AddressError::NoSchemas)));
    }
}
