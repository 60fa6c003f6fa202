//! The limits of an organisation: requests per minute, which the processes of a cluster share
//! ([`common_limit`](crate::common_limit)), and open streams, which each process counts for itself.
//!
//! A tenth of the requests of a minute may come at once, and the budget is refilled evenly ([`Bucket`]).
//! Every answer has the `RateLimit` headers of draft-ietf-httpapi-ratelimit-headers-10.

use std::{collections::HashMap, num::NonZeroU32, sync::Arc, time::Duration};

use parking_lot::Mutex;
use passerelle_jobs::{
    ids::OrgId,
    usage::{Spent, Used},
};
use poem::http::{HeaderMap, HeaderName, HeaderValue, header};
use tokio::time::Instant;

use crate::{
    bucket::{Bucket, Rate},
    problem::{Code, Problem},
};

/// The maximum number of open event streams of an organisation.
pub const STREAMS_MAX: usize = 200;
/// The requests of a minute divided by this may come at once.
pub(crate) const BURST: u32 = 10;
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// The meters of every organisation.
#[derive(Clone)]
pub struct Quotas(Arc<Meters>);

struct Meters {
    a_minute: NonZeroU32,
    rate: Rate,
    requests: Mutex<HashMap<OrgId, Bucket>>,
    streams: Mutex<HashMap<OrgId, usize>>,
}

/// The budget of an organisation after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    rate: Rate,
    left: u32,
    /// Until all requests are back.
    back: Duration,
}

impl Quotas {
    /// Allows `a_minute` requests per minute to each organisation.
    pub fn new(a_minute: NonZeroU32) -> Self {
        Self(Arc::new(Meters {
            a_minute,
            rate: Rate {
                burst: (a_minute.get() / BURST).max(1),
                every: Duration::from_mins(1) / a_minute.get(),
            },
            requests: Mutex::default(),
            streams: Mutex::default(),
        }))
    }

    /// Counts one request: where the organisation stands now, or the refusal.
    pub(crate) fn request(&self, org: OrgId) -> (Standing, Result<(), Problem>) {
        let (rate, now) = (self.0.rate, Instant::now());
        let mut requests = self.0.requests.lock();
        let bucket = requests.entry(org).or_insert_with(|| Bucket::full(now));
        let taken = bucket.take(rate, now);
        let standing = Standing {
            rate,
            left: bucket.left(rate, now),
            back: bucket.until_full(now),
        };
        (standing, taken.map_err(|wait| self.refusal(wait)))
    }

    /// Returns what every organisation that asked since the last call was let through.
    pub(crate) fn spent(&self) -> Vec<Spent> {
        let now = Instant::now();
        let mut requests = self.0.requests.lock();
        let spent = requests.iter_mut().filter_map(|(org, bucket)| {
            let (requests, since) = bucket.report(now)?;
            Some(Spent {
                org: *org,
                requests,
                since,
            })
        });
        spent.collect()
    }

    /// Returns after how long one more request may come.
    pub(crate) fn every(&self) -> Duration {
        self.0.rate.every
    }

    /// Learns how long each budget needed until it was whole at `sent`.
    pub(crate) fn learn(&self, sent: Instant, budgets: Vec<(OrgId, Duration)>) {
        let mut requests = self.0.requests.lock();
        for (org, left) in budgets {
            if let Some(bucket) = requests.get_mut(&org) {
                bucket.learn(self.0.rate, sent, left);
            }
        }
    }

    /// Returns how many requests the organisation may make at once, and how many of them are used up.
    pub(crate) fn requests(&self, org: OrgId) -> Used {
        let (rate, now) = (self.0.rate, Instant::now());
        let requests = self.0.requests.lock();
        let left = requests
            .get(&org)
            .map_or(rate.burst, |bucket| bucket.left(rate, now));
        Used {
            used: u64::from(rate.burst - left),
            allowed: u64::from(rate.burst),
        }
    }

    /// Returns how many streams the organisation may have open in this process, and how many are open.
    pub(crate) fn streams(&self, org: OrgId) -> Used {
        let open = self.0.streams.lock().get(&org).copied().unwrap_or_default();
        Used {
            used: open as u64,
            allowed: STREAMS_MAX as u64,
        }
    }

    fn refusal(&self, wait: Duration) -> Problem {
        let seconds = HeaderValue::from(whole_seconds(wait).max(1));
        let detail = format!(
            "An organisation may make {} requests a minute, {} of them at once (--requests-per-minute).",
            self.0.a_minute, self.0.rate.burst
        );
        let refused = Problem::new(Code::RateLimited).detail(detail);
        refused.header(header::RETRY_AFTER, seconds)
    }

    /// Room for one more stream, given back when the answer is dropped.
    pub(crate) fn stream(&self, org: OrgId) -> Result<StreamOpen, Problem> {
        let mut streams = self.0.streams.lock();
        let open = streams.entry(org).or_default();
        if *open >= STREAMS_MAX {
            return Err(Problem::new(Code::LimitReached).detail(format!(
                "An organisation may have {STREAMS_MAX} streams open at once. This limit is fixed. Close one."
            )));
        }
        *open += 1;
        Ok(StreamOpen {
            quotas: self.clone(),
            org,
        })
    }
}

fn whole_seconds(time: Duration) -> u64 {
    time.as_millis()
        .div_ceil(1000)
        .try_into()
        .unwrap_or(u64::MAX)
}

impl Standing {
    /// `RateLimit-Policy` says how many requests (`q`) may come in how many seconds (`w`);
    /// `RateLimit` how many are left (`r`) and in how many seconds all are back (`t`).
    pub(crate) fn tell(self, headers: &mut HeaderMap) {
        let Self { rate, left, back } = self;
        let Rate { burst, every } = rate;
        let window = whole_seconds(every * burst);
        // Never before `Retry-After`, also while more was used than may come at once.
        let back = whole_seconds(back);
        let texts = [
            (POLICY, format!("\"org\";q={burst};w={window}")),
            (LIMIT, format!("\"org\";r={left};t={back}")),
        ];
        for (name, text) in texts {
            let value = HeaderValue::try_from(text).expect("digits and ASCII");
            headers.insert(name, value);
        }
    }
}

/// While it lives, a stream of the organisation is open.
pub(crate) struct StreamOpen {
    quotas: Quotas,
    org: OrgId,
}

impl Drop for StreamOpen {
    fn drop(&mut self) {
        let mut streams = self.quotas.0.streams.lock();
        if let Some(open) = streams.get_mut(&self.org) {
            *open -= 1;
            if *open == 0 {
                streams.remove(&self.org);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use passerelle_jobs::clock::Clock;

    use super::*;

    fn quotas(a_minute: u32) -> (Quotas, OrgId) {
        let quotas = Quotas::new(NonZeroU32::new(a_minute).unwrap());
        (quotas, OrgId::new(&Clock::system()))
    }

    #[test]
    fn a_tenth_of_the_minute_may_come_at_once_and_then_no_more() {
        let (quotas, org) = quotas(20);
        for left in [1, 0] {
            let (standing, passed) = quotas.request(org);
            assert_eq!((standing.rate.burst, standing.left), (2, left));
            passed.unwrap();
        }
        let (_, refused) = quotas.request(org);
        let response = refused.unwrap_err().response("/v1/messages", "req_1");
        assert_eq!(response.status().as_u16(), 429);
        // Three seconds a request at twenty a minute.
        assert_eq!(response.header("retry-after"), Some("3"));
    }

    #[test]
    fn one_organisation_does_not_use_up_anothers() {
        let (quotas, org) = quotas(10);
        quotas.request(org).1.unwrap();
        quotas.request(org).1.unwrap_err();
        let other = OrgId::new(&Clock::system());
        quotas.request(other).1.unwrap();
    }

    #[test]
    fn every_answer_says_what_is_left() {
        let (quotas, org) = quotas(600);
        let mut headers = HeaderMap::new();
        quotas.request(org).0.tell(&mut headers);
        assert_eq!(headers["ratelimit-policy"], "\"org\";q=60;w=6");
        assert_eq!(headers["ratelimit"], "\"org\";r=59;t=1");
    }

    #[test]
    fn all_are_back_no_sooner_than_one_may_come() {
        let (quotas, org) = quotas(600);
        quotas.request(org).1.unwrap();
        // Other processes let through so much that half a minute is to be made up for; ours is not reported yet.
        let others = vec![(org, Duration::from_secs(36))];
        quotas.learn(Instant::now(), others);
        let (standing, refused) = quotas.request(org);
        let mut headers = HeaderMap::new();
        standing.tell(&mut headers);
        assert_eq!(headers["ratelimit"], "\"org\";r=0;t=37");
        let refused = refused.unwrap_err().response("/v1/messages", "req_1");
        assert_eq!(refused.header("retry-after"), Some("31"));
    }

    #[test]
    fn looking_at_what_is_used_uses_nothing() {
        let (quotas, org) = quotas(600);
        let used = |used| Used { used, allowed: 60 };
        assert_eq!(quotas.requests(org), used(0));
        quotas.request(org).1.unwrap();
        assert_eq!(quotas.requests(org), used(1));
        assert_eq!(quotas.requests(org), used(1));
        let _open = quotas.stream(org).unwrap();
        assert_eq!(quotas.streams(org).used, 1);
    }

    #[test]
    fn a_stream_more_than_the_most_is_refused_until_one_ends() {
        let (quotas, org) = quotas(600);
        let mut open: Vec<_> = (0..STREAMS_MAX)
            .map(|_| quotas.stream(org).unwrap())
            .collect();
        assert_eq!(quotas.stream(org).err().unwrap().code(), Code::LimitReached);
        open.pop();
        quotas.stream(org).unwrap();
        open.clear();
        assert!(quotas.0.streams.lock().is_empty());
    }
}
