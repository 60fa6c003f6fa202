//! The address that a request comes from, and how much one address may do at once.
//!
//! Behind a reverse proxy every connection comes from the proxy. The operator names the proxies
//! (`--trusted-proxies`); `X-Forwarded-For` counts only on their connections.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::Arc,
};

use governor::{
    DefaultKeyedRateLimiter, Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
};
use ipnet::IpNet;
use parking_lot::Mutex;
use poem::http::{HeaderMap, HeaderValue, header};

use crate::{
    limits,
    problem::{Code, Problem},
};

/// The addresses that have something open, and those that presented keys that are not valid.
#[derive(Debug)]
pub struct Addresses {
    trusted: Vec<IpNet>,
    most: usize,
    /// The same for the addresses of this machine: many clients on it are one address, and so is a proxy on it
    /// that the operator did not name.
    most_here: usize,
    open: Mutex<HashMap<IpAddr, usize>>,
    refused_keys: DefaultKeyedRateLimiter<IpAddr>,
    clock: DefaultClock,
}

/// A connection, or a request through a trusted proxy; counted until it is dropped.
#[derive(Debug)]
pub struct Open {
    /// `None` if it is not counted.
    counted: Option<(Arc<Addresses>, IpAddr)>,
}

impl Addresses {
    /// Allows `most` connections of one address at once. `trusted` are the reverse proxies.
    pub fn new(most: NonZeroU32, trusted: Vec<IpNet>) -> Arc<Self> {
        let refused = Quota::per_second(limits::REFUSED_KEYS_A_SECOND)
            .allow_burst(limits::REFUSED_KEYS_AT_ONCE);
        Arc::new(Self {
            trusted,
            most: most.get() as usize,
            most_here: limits::CONNECTIONS_MAX / 2,
            open: Mutex::default(),
            refused_keys: RateLimiter::keyed(refused),
            clock: DefaultClock::default(),
        })
    }

    /// Like `new`, with the same maximum for the addresses of this machine.
    #[cfg(test)]
    pub(crate) fn strict(most: usize) -> Arc<Self> {
        let addresses = Self::new(limits::CONNECTIONS_PER_ADDRESS, Vec::new());
        let addresses = Arc::into_inner(addresses).unwrap();
        Arc::new(Self {
            most,
            most_here: most,
            ..addresses
        })
    }

    /// Counts a connection. Refuses if its address has the maximum open.
    pub(crate) fn connect(self: &Arc<Self>, peer: IpAddr) -> Result<Open, Problem> {
        if self.trusts(peer) {
            return Ok(Open { counted: None });
        }
        if peer.to_canonical().is_loopback() {
            let here = || too_many(self.most_here, "which is fixed for this machine itself");
            return self.enter(peer, self.most_here).ok_or_else(here);
        }
        self.enter(peer, self.most).ok_or_else(|| self.too_many())
    }

    /// Counts a request that came through a trusted proxy. Any other request is counted by its connection.
    pub(crate) fn request(self: &Arc<Self>, peer: IpAddr, client: IpAddr) -> Result<Open, Problem> {
        if !self.trusts(peer) || client == peer {
            return Ok(Open { counted: None });
        }
        self.enter(client, self.most).ok_or_else(|| self.too_many())
    }

    fn too_many(&self) -> Problem {
        let changed = "which the operator can raise (--connections-per-address)";
        too_many(self.most, changed)
    }

    /// Returns the address of the client: the nearest one in `X-Forwarded-For` that is not a trusted proxy.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut nearest = peer;
        let said = headers.get_all("x-forwarded-for").iter().rev();
        let hops = said
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.rsplit(','));
        for hop in hops {
            if !self.trusts(nearest) {
                break;
            }
            let Some(before) = address(hop) else { break };
            nearest = before;
        }
        nearest
    }

    /// Counts a key that is not valid. Refuses if this address presents them too fast.
    pub(crate) fn refused_key(&self, client: IpAddr) -> Result<(), Problem> {
        let counted = self.refused_keys.check_key(&network(client));
        counted.map_err(|until| {
            let wait = until.wait_time_from(self.clock.now());
            let seconds = HeaderValue::from(wait.as_secs() + 1);
            Problem::new(Code::RateLimited)
                .detail(format!(
                    "From one address at most {} keys that are not valid may come at once, then {} a second. This limit \
                     is fixed.",
                    limits::REFUSED_KEYS_AT_ONCE,
                    limits::REFUSED_KEYS_A_SECOND
                ))
                .header(header::RETRY_AFTER, seconds)
        })
    }

    /// Forgets the addresses that have been quiet for a while.
    pub(crate) fn forget_quiet(&self) {
        self.refused_keys.retain_recent();
    }

    fn trusts(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.trusted.iter().any(|net| net.contains(&ip))
    }

    fn enter(self: &Arc<Self>, ip: IpAddr, most: usize) -> Option<Open> {
        let ip = network(ip);
        let mut open = self.open.lock();
        let count = open.entry(ip).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Open {
            counted: Some((Arc::clone(self), ip)),
        })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let Some((addresses, ip)) = &self.counted else {
            return;
        };
        let mut open = addresses.open.lock();
        if let Some(count) = open.get_mut(ip) {
            *count -= 1;
            if *count == 0 {
                open.remove(ip);
            }
        }
    }
}

/// The refusal of a connection or request above the maximum of its address.
fn too_many(most: usize, changed: &str) -> Problem {
    Problem::new(Code::TooManyConnections)
        .detail(format!(
            "This address may have {most} open connections, {changed}. Behind a reverse proxy the operator names it \
             (--trusted-proxies).",
        ))
        .header(header::RETRY_AFTER, HeaderValue::from(limits::RETRY_AFTER.as_secs()))
}

/// Parses an entry of `X-Forwarded-For`, with or without a port.
fn address(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    let socket = || hop.parse::<std::net::SocketAddr>().ok().map(|at| at.ip());
    let bracketed = || hop.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    hop.parse().ok().or_else(socket).or_else(bracketed)
}

/// Returns what counts as one address: of IPv6 the /64, which one customer of a provider has to itself.
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        ip @ IpAddr::V4(_) => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(most: u32, trusted: &[&str]) -> Arc<Addresses> {
        let trusted = trusted.iter().map(|net| net.parse().unwrap()).collect();
        Addresses::new(NonZeroU32::new(most).unwrap(), trusted)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn said(lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("x-forwarded-for", HeaderValue::from_str(line).unwrap());
        }
        headers
    }

    #[test]
    fn an_address_has_its_maximum_and_takes_nothing_from_another() {
        let addresses = addresses(2, &[]);
        let (one, other) = (ip("192.0.2.1"), ip("192.0.2.2"));
        let mut open: Vec<_> = (0..2).map(|_| addresses.connect(one).unwrap()).collect();
        assert!(addresses.connect(one).is_err());
        assert!(addresses.connect(other).is_ok());
        open.pop();
        open.push(addresses.connect(one).unwrap());
        drop(open);
        assert!(addresses.open.lock().is_empty());
    }

    #[test]
    fn ipv4_is_the_same_when_it_is_mapped_and_an_ipv6_network_is_one_address() {
        let addresses = addresses(1, &[]);
        let _v4 = addresses.connect(ip("192.0.2.1")).unwrap();
        assert!(addresses.connect(ip("::ffff:192.0.2.1")).is_err());
        let _v6 = addresses.connect(ip("2001:db8:1:2::1")).unwrap();
        assert!(addresses.connect(ip("2001:db8:1:2:ffff::9")).is_err());
        assert!(addresses.connect(ip("2001:db8:1:3::1")).is_ok());
    }

    #[test]
    fn only_a_trusted_proxy_says_who_the_client_is() {
        let addresses = addresses(1, &["10.0.0.0/8", "fd00::/8"]);
        let (proxy, stranger) = (ip("10.1.2.3"), ip("203.0.113.7"));
        for (peer, lines, client) in [
            (stranger, vec!["198.51.100.1"], "203.0.113.7"),
            (proxy, vec![], "10.1.2.3"),
            (proxy, vec!["198.51.100.1"], "198.51.100.1"),
            (proxy, vec!["198.51.100.1:4711"], "198.51.100.1"),
            (proxy, vec!["[2001:db8::1]:443"], "2001:db8::1"),
            (
                proxy,
                vec!["1.1.1.1, 198.51.100.1, 10.9.9.9"],
                "198.51.100.1",
            ),
            (
                proxy,
                vec!["1.1.1.1", "198.51.100.1", "10.9.9.9"],
                "198.51.100.1",
            ),
            (proxy, vec!["198.51.100.1, unknown"], "10.1.2.3"),
            (ip("::ffff:10.1.2.3"), vec!["198.51.100.1"], "198.51.100.1"),
        ] {
            assert_eq!(
                addresses.client(peer, &said(&lines)),
                ip(client),
                "{lines:?}"
            );
        }
    }

    #[test]
    fn requests_through_a_proxy_are_counted_for_their_client() {
        let addresses = addresses(1, &["10.0.0.0/8"]);
        let (proxy, client) = (ip("10.1.2.3"), ip("198.51.100.1"));
        let connections: Vec<_> = (0..9).map(|_| addresses.connect(proxy)).collect();
        assert!(connections.iter().all(Result::is_ok));
        let _first = addresses.request(proxy, client).unwrap();
        let refused = addresses.request(proxy, client).unwrap_err();
        assert_eq!(refused.code(), Code::TooManyConnections);
        assert!(addresses.request(proxy, ip("198.51.100.2")).is_ok());
    }

    #[test]
    fn keys_that_are_not_valid_are_slowed_for_their_address_alone() {
        let addresses = addresses(1, &[]);
        let (one, other) = (ip("192.0.2.1"), ip("192.0.2.2"));
        for _ in 0..limits::REFUSED_KEYS_AT_ONCE.get() {
            addresses.refused_key(one).unwrap();
        }
        let refused = addresses.refused_key(one).unwrap_err();
        assert_eq!(refused.code(), Code::RateLimited);
        addresses.refused_key(other).unwrap();
    }
}
