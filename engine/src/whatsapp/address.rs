//! The server to connect to: WhatsApp's, or in a sandbox build one on this machine.

use url::Url;
use wacore::net::WHATSAPP_WEB_WS_URL;

/// The server's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerAddress {
    /// A server on loopback. `None` means WhatsApp's own server.
    sandbox: Option<Url>,
}

/// Why this build does not connect to an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    /// It does not begin with `ws://` or `wss://`.
    #[error("not a WebSocket address: expected ws:// or wss://")]
    NotWebSocket,
    /// This build is for real numbers: the library checks the certificate chain of WhatsApp's own
    /// servers, which no other server can have.
    #[error("this build connects only to WhatsApp's servers; another server needs a sandbox build")]
    NotASandboxBuild,
    /// A sandbox build checks no certificates, so it only connects to this machine.
    #[error("a sandbox build connects only to servers on loopback")]
    NotLoopback,
}

impl ServerAddress {
    /// WhatsApp's own server.
    pub fn real() -> Self {
        Self { sandbox: None }
    }

    /// Parses an address from outside. Any address except WhatsApp's own needs the feature
    /// `sandbox`, and must be a loopback IP address or `localhost`.
    pub fn parse(text: &str) -> Result<Self, NotAllowed> {
        let url = Url::parse(text).map_err(|_| NotAllowed::NotWebSocket)?;
        if !matches!(url.scheme(), "ws" | "wss") {
            return Err(NotAllowed::NotWebSocket);
        }
        if url.as_str() == WHATSAPP_WEB_WS_URL {
            return Ok(Self::real());
        }
        if !cfg!(feature = "sandbox") {
            return Err(NotAllowed::NotASandboxBuild);
        }
        if !url.host().is_some_and(|host| is_loopback(&host)) {
            return Err(NotAllowed::NotLoopback);
        }
        let sandbox = Some(url);
        Ok(Self { sandbox })
    }

    /// Returns whether this is a sandbox server on loopback.
    pub fn is_sandbox(&self) -> bool {
        self.sandbox.is_some()
    }

    /// Returns where a sandbox server keeps files, as `host:port`. Returns `None` for WhatsApp,
    /// which has separate hosts for files.
    pub(super) fn media_host(&self) -> Option<String> {
        let url = self.sandbox.as_ref()?;
        Some(format!(
            "{}:{}",
            url.host_str()?,
            url.port_or_known_default()?
        ))
    }

    /// Returns the whole address.
    pub fn as_str(&self) -> &str {
        self.sandbox
            .as_ref()
            .map_or(WHATSAPP_WEB_WS_URL, Url::as_str)
    }
}

/// `localhost` is accepted without a look-up, because it never leaves the machine (RFC 6761 §6.3).
fn is_loopback<S: AsRef<str>>(host: &url::Host<S>) -> bool {
    match host {
        url::Host::Domain(name) => name.as_ref() == "localhost",
        url::Host::Ipv4(ip) => ip.is_loopback(),
        url::Host::Ipv6(ip) => ip.is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatsapps_own_address_is_always_taken() {
        let parsed = ServerAddress::parse("wss://web.whatsapp.com/ws/chat");
        assert_eq!(parsed, Ok(ServerAddress::real()));
        assert!(!ServerAddress::real().is_sandbox());
    }

    #[test]
    fn text_that_is_no_web_socket_address_is_refused() {
        for text in ["", "web.whatsapp.com", "https://web.whatsapp.com/ws/chat"] {
            assert_eq!(ServerAddress::parse(text), Err(NotAllowed::NotWebSocket));
        }
    }

    #[cfg(not(feature = "sandbox"))]
    #[test]
    fn a_build_for_real_numbers_refuses_every_other_server() {
        for text in [
            "ws://127.0.0.1:8080/ws/chat",
            "wss://localhost/ws/chat",
            "wss://web.whatsapp.com.example.org/ws/chat",
            "ws://web.whatsapp.com/ws/chat",
            "wss://web.whatsapp.com:8443/ws/chat",
        ] {
            assert_eq!(
                ServerAddress::parse(text),
                Err(NotAllowed::NotASandboxBuild)
            );
        }
    }

    #[cfg(feature = "sandbox")]
    #[test]
    fn a_sandbox_build_takes_loopback_and_nothing_else() {
        for text in [
            "ws://127.0.0.1:8080/ws/chat",
            "wss://127.8.9.1/ws/chat",
            "ws://[::1]:1/ws/chat",
            "wss://localhost:9/ws/chat",
        ] {
            assert!(ServerAddress::parse(text).unwrap().is_sandbox());
        }
        for text in [
            "ws://10.0.0.1/ws/chat",
            "wss://localhost.example.org/ws/chat",
            "wss://web.whatsapp.com:8443/ws/chat",
        ] {
            assert_eq!(ServerAddress::parse(text), Err(NotAllowed::NotLoopback));
        }
    }
}
