//! Which addresses the gateway connects to for a tenant: public ones, and ranges that the operator
//! allowed.
//!
//! A name is checked by the addresses it resolves to, inside the resolver that the connection uses. So
//! the checked address is the one that is dialled. Literal addresses never reach the resolver, so they
//! are checked in the URL. Neither answer reveals whether something listens there.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use futures_util::future::BoxFuture;
use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// The longest URL a tenant may give, in bytes.
const URL_MAX: usize = 2048;

/// The gateway does not connect to this address. The error never says for which reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the address is not a public http or https address")]
pub struct UrlNotAllowed;

/// Which addresses may be dialled.
#[derive(Debug, Clone, Default)]
pub struct Egress {
    allow: Arc<[IpNet]>,
}

impl Egress {
    /// Allows public addresses, and those in the ranges of the operator.
    pub fn new(allow: Vec<IpNet>) -> Self {
        Self {
            allow: allow.into(),
        }
    }

    /// Logs the private ranges that are allowed, because tenants can reach what is there.
    pub fn warn(&self) {
        for range in self.allow.iter() {
            tracing::warn!(%range, "webhooks, files and link previews may reach this private range (--egress-allow)");
        }
    }

    /// Parses a tenant's URL. The addresses of a name are checked at each connection.
    pub fn check_url(&self, text: &str) -> Result<Url, UrlNotAllowed> {
        if text.len() > URL_MAX {
            return Err(UrlNotAllowed);
        }
        let url = Url::parse(text).map_err(|_| UrlNotAllowed)?;
        let plain = matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none();
        let admitted = match url.host().ok_or(UrlNotAllowed)? {
            Host::Ipv4(ip) => self.admits(ip.into()),
            Host::Ipv6(ip) => self.admits(ip.into()),
            Host::Domain(name) => !is_localhost(name) || self.admits(Ipv4Addr::LOCALHOST.into()),
        };
        if plain && admitted && self.admits_port(&url) {
            Ok(url)
        } else {
            Err(UrlNotAllowed)
        }
    }

    /// Returns whether this address may be dialled.
    pub fn admits(&self, ip: IpAddr) -> bool {
        // An IPv4 address mapped to IPv6 is allowed if the IPv4 address is.
        let opened = |net: &IpNet| net.contains(&ip) || net.contains(&ip.to_canonical());
        self.allow.iter().any(opened) || is_public(ip)
    }

    /// Refuses the well-known ports of other services, so that no request can be smuggled to them.
    fn admits_port(&self, url: &Url) -> bool {
        let opened = match url.host() {
            Some(Host::Ipv4(ip)) => self.opens(ip.into()),
            Some(Host::Ipv6(ip)) => self.opens(ip.into()),
            _ => false,
        };
        opened || matches!(url.port_or_known_default(), Some(80 | 443 | 1024..))
    }

    fn opens(&self, ip: IpAddr) -> bool {
        self.allow.iter().any(|net| net.contains(&ip))
    }
}

fn is_localhost(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    name == "localhost" || name.ends_with(".localhost")
}

/// Returns whether the address is public. The special-purpose ranges are those of
/// <https://www.iana.org/assignments/iana-ipv4-special-registry> and
/// <https://www.iana.org/assignments/iana-ipv6-special-registry>.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    !matches!(
        (a, b, c),
        (0 | 10 | 127, _, _)            // this network, private, loopback
            | (100, 64..=127, _)        // shared by carriers
            | (169, 254, _)             // link-local, cloud metadata
            | (172, 16..=31, _)         // private
            | (192, 0, 0 | 2)           // protocol assignments, documentation
            | (192, 88, 99)             // 6to4 relays
            | (192, 168, _)             // private
            | (198, 18..=19, _)         // benchmarks
            | (198, 51, 100)            // documentation
            | (203, 0, 113)             // documentation
            | (224.., _, _) // multicast, reserved, all hosts of a network
    )
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let segments = ip.segments();
    if let [0x64, 0xff9b, 0, 0, 0, 0, high, low] = segments {
        // A NAT64 address leads to the IPv4 address inside it.
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        return is_public_v4(Ipv4Addr::new(a, b, c, d));
    }
    let isatap = segments[4] & 0xfdff == 0 && segments[5] == 0x5efe;
    // 2000::/3 is all of the global unicast space in use. Excluded are the special ranges inside it:
    // protocol assignments and Teredo, documentation (two ranges), 6to4.
    let special = matches!(
        (segments[0], segments[1]),
        (0x2001, 0..=0x01ff | 0x0db8) | (0x2002, _) | (0x3fff, 0..=0x0fff)
    );
    segments[0] & 0xe000 == 0x2000 && !isatap && !special
}

/// Looks up a name: with the system's resolver, or with a test's.
pub(super) type LookUp =
    Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

/// The resolver of every connection to a tenant's address.
#[derive(Clone)]
pub(super) struct Guarded {
    egress: Egress,
    look_up: LookUp,
}

impl Guarded {
    /// Uses the system's resolver.
    pub(super) fn new(egress: Egress) -> Self {
        Self::over(egress, Arc::new(|name| Box::pin(system_look_up(name))))
    }

    pub(super) fn over(egress: Egress, look_up: LookUp) -> Self {
        Self { egress, look_up }
    }
}

async fn system_look_up(name: String) -> io::Result<Vec<IpAddr>> {
    let found = tokio::net::lookup_host((name, 0)).await?;
    Ok(found.map(|address| address.ip()).collect())
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let found = (self.look_up)(name.as_str().to_owned());
        let egress = self.egress.clone();
        Box::pin(async move {
            let mut found = found.await?;
            found.retain(|ip| egress.admits(*ip));
            if found.is_empty() {
                return Err(UrlNotAllowed.into());
            }
            // Port 0 means the port of the URL.
            let addresses = found.into_iter().map(|ip| SocketAddr::new(ip, 0));
            Ok(Box::new(addresses) as Addrs)
        })
    }
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
