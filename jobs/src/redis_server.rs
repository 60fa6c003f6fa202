//! The address of the Redis server. Off this machine, the connection is encrypted and the server's
//! certificate is checked, unless the operator says otherwise.

use std::{fmt, path::Path, sync::Arc, time::Duration};

use passerelle_engine::{
    certificate,
    store::{has_certificate, is_this_machine},
};
use redis::{Client, RedisResult, TlsCertificates};
use url::Url;

/// The longest time that the first connection may take.
const CONNECT: Duration = Duration::from_secs(3);

/// What is wrong with an address. No text contains the address, which may have a password in it.
#[derive(Debug, thiserror::Error)]
pub enum RedisError {
    /// It does not parse.
    #[error(
        "--redis-url (PASSERELLE_REDIS_URL): rediss://[user:password@]host[:port][/db], or redis://… on this machine"
    )]
    Malformed,
    /// It asks for an unprotected connection.
    #[error(
        "--redis-url (PASSERELLE_REDIS_URL): `{0}` is not this machine, so the connection must be encrypted: use rediss://, or allow the plain connection with --redis-plain (PASSERELLE_REDIS_PLAIN=true)"
    )]
    Plain(String),
    /// The file of the certificate authority cannot be used.
    #[error("--redis-ca (PASSERELLE_REDIS_CA): {0}")]
    Authority(String),
    /// The server's certificate does not fit, or it does not speak TLS.
    #[error(
        "--redis-url (PASSERELLE_REDIS_URL): {0}. A certificate authority of your own is named with --redis-ca (PASSERELLE_REDIS_CA)"
    )]
    Certificate(String),
}

/// The Redis server of a cluster.
#[derive(Clone)]
pub struct RedisServer {
    url: Arc<str>,
    authority: Option<Arc<[u8]>>,
    unprotected: bool,
}

impl fmt::Debug for RedisServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[a Redis server]")
    }
}

impl RedisServer {
    /// Parses the address. `authority` is a file of certificates (PEM) that replaces those of the
    /// system. With `plain`, a server on another machine may be reached without TLS.
    pub fn parse(url: &str, authority: Option<&Path>, plain: bool) -> Result<Self, RedisError> {
        let parsed = Url::parse(url).map_err(|_| RedisError::Malformed)?;
        let host = parsed.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or(RedisError::Malformed)?;
        let encrypted = match parsed.scheme() {
            "rediss" => true,
            "redis" => false,
            _ => return Err(RedisError::Malformed),
        };
        // The fragment `#insecure` would switch the check of the certificate off.
        if parsed.fragment().is_some() || Client::open(url).is_err() {
            return Err(RedisError::Malformed);
        }
        let unprotected = !encrypted && !is_this_machine(host);
        if unprotected && !plain {
            return Err(RedisError::Plain(host.to_owned()));
        }
        let authority = authority.map(read).transpose()?;
        if authority.is_some() && !encrypted {
            let told = "only a rediss:// address has a certificate to check";
            return Err(RedisError::Authority(told.to_owned()));
        }
        Ok(Self {
            url: Arc::from(url),
            authority,
            unprotected,
        })
    }

    /// Returns a client. It connects only when it is used.
    pub(crate) fn client(&self) -> RedisResult<Client> {
        let Some(authority) = &self.authority else {
            return Client::open(&*self.url);
        };
        let certificates = TlsCertificates {
            client_tls: None,
            root_cert: Some(authority.to_vec()),
        };
        Client::build_with_tls(&*self.url, certificates)
    }

    /// Logs a warning if the connection to the server is not protected.
    pub fn warn(&self) {
        if self.unprotected {
            tracing::warn!(
                "the connection to Redis is not protected (--redis-plain): who can reach the network between can read and change what is on it"
            );
        }
    }

    /// Fails if TLS to the server fails. A server that cannot be reached is no failure: the gateway
    /// works without it.
    pub async fn check(&self) -> Result<(), RedisError> {
        if !self.url.starts_with("rediss://") {
            return Ok(());
        }
        let connected = async { self.client()?.get_multiplexed_async_connection().await };
        let Ok(Err(error)) = tokio::time::timeout(CONNECT, connected).await else {
            return Ok(());
        };
        match certificate::refusal(&error) {
            Some(reason) => Err(RedisError::Certificate(reason)),
            None => Ok(()),
        }
    }
}

fn read(file: &Path) -> Result<Arc<[u8]>, RedisError> {
    let bad =
        |reason: &dyn fmt::Display| RedisError::Authority(format!("{}: {reason}", file.display()));
    let pem = std::fs::read(file).map_err(|error| bad(&error))?;
    if !has_certificate(&pem) {
        return Err(bad(
            &"not a file of certificates (PEM, -----BEGIN CERTIFICATE-----)",
        ));
    }
    Ok(Arc::from(pem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_machine_is_reached_encrypted_or_by_permission() {
        for (url, plain, warns) in [
            ("redis://127.0.0.1:6379", false, false),
            ("redis://localhost/1", false, false),
            ("redis://[::1]", false, false),
            ("rediss://redis.example.com", false, false),
            ("rediss://u:p@10.0.0.1:6380/0", true, false),
            ("redis://redis", true, true),
            ("redis://[fdaa::3]:6379", true, true),
        ] {
            let server = RedisServer::parse(url, None, plain).unwrap();
            assert_eq!(server.unprotected, warns, "{url}");
        }
        for url in [
            "redis://redis",
            "redis://u:secret@10.0.0.1",
            "redis://[fdaa::3]",
        ] {
            let told = RedisServer::parse(url, None, false)
                .unwrap_err()
                .to_string();
            assert!(
                told.contains("--redis-plain") && !told.contains("secret"),
                "{told}"
            );
        }
    }

    #[test]
    fn what_is_no_address_or_no_authority_is_refused_by_name() {
        for url in [
            "localhost",
            "redis://",
            "rediss://",
            "http://localhost",
            "rediss://redis.example.com/#insecure",
            "redis://localhost/db",
        ] {
            let told = RedisServer::parse(url, None, true).unwrap_err().to_string();
            assert!(told.starts_with("--redis-url"), "{url}: {told}");
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        for url in ["rediss://localhost", "redis://localhost"] {
            let told = RedisServer::parse(url, Some(&file), true).unwrap_err();
            assert!(told.to_string().starts_with("--redis-ca"), "{told}");
            std::fs::write(&file, "no certificate").unwrap();
        }
    }
}
