//! A hundred callers claim the lanes of one number at once, as two hosts with two sessions each. Whatever they do, the number
//! keeps its gaps, also when a message is written later than planned.

use std::{collections::HashMap, time::Duration};

use passerelle_engine::{
    clock::Millis,
    content::{Content, Phone},
    ids::{OrgId, SessionId},
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::{
    host::{
        claim::Lanes,
        job::SendMessage,
        outcome::{self, Outcome},
    },
    lanes::view,
    model::{
        Class, Purpose,
        consent::{Agreement, NewConsent},
        millis,
    },
    organisations,
    outbound::{self, recipient::To, request::NewMessage},
    queue::JobSource as _,
    safety::{preset::Preset, state::State},
    services::Services,
    sessions,
    settings::MediaSettings,
    state::in_flight::ServerVerdict,
    store::system::numbers,
    testing,
};

const SEED: u64 = 23;
const NUMBER: [u8; 32] = [7; 32];
const CALLERS: usize = 100;
/// How many messages are sent in a story.
const MESSAGES: usize = 6;
/// A time is in whole milliseconds and made of several readings of two clocks, each some time after the other.
const SLACK: Millis = 250;

/// A number that is linked to four sessions of two hosts.
struct World {
    hosts: [Services; 2],
    org: OrgId,
    sessions: Vec<SessionId>,
    /// How far the rows' times were moved back.
    passed: Millis,
    chance: StdRng,
    /// When each message was written.
    written: Vec<(Class, Millis)>,
}

impl World {
    async fn start(url: &str) -> Self {
        let media = MediaSettings::nowhere();
        let one = testing::services_at(url, media, ("host-a", Preset::Default)).await;
        let other = testing::beside(&one, "host-b");
        let org = organisations::create(&one, "Acme").await.unwrap().id;
        let mut sessions = Vec::new();
        for name in ["till", "bar", "door", "yard"] {
            let made = sessions::create(&one, org, name, sessions::New::default()).await;
            sessions.push(made.unwrap().id);
        }
        let all = sessions.clone();
        let write = one.store().write_system(move |tx| {
            Box::pin(async move {
                numbers::meet(tx, &NUMBER).await?;
                for (n, session) in all.iter().enumerate() {
                    for sql in [
                        "UPDATE lease SET host_id = $2, epoch = 1 WHERE session_id = $1",
                        "UPDATE lane SET open_epoch = 1, opened_at = 1 WHERE session_id = $1 AND $2 <> ''",
                    ] {
                        let host = ["host-a", "host-b"][n % 2];
                        let query = sqlx::query(sql).bind(session.to_string()).bind(host);
                        query.execute(tx.conn()).await?;
                    }
                }
                let linked = sqlx::query("UPDATE lane SET number_mac = $1").bind(NUMBER.to_vec());
                linked.execute(tx.conn()).await.map(drop)
            })
        });
        write.await.unwrap();
        Self {
            hosts: [one, other],
            org,
            sessions,
            passed: 0,
            chance: StdRng::seed_from_u64(SEED),
            written: Vec::new(),
        }
    }

    /// Accepts a message to a stranger who agreed, through one of the sessions.
    async fn accept(&self, nth: usize) {
        let to = Phone::parse(&format!("+49151990{nth:05}")).unwrap();
        let session = self.sessions[nth % self.sessions.len()];
        let content = Content::text("your new login");
        let source = "checkout".to_owned();
        let new = NewMessage {
            purpose: Some(Purpose::Security),
            consent: Some(NewConsent {
                how: Agreement {
                    source,
                    proof: None,
                },
                at: None,
            }),
            ..NewMessage::of(session, To::Phone(to), content)
        };
        let accepted = outbound::accept(&self.hosts[0], self.org, new, None).await;
        assert_eq!(accepted.unwrap().message.class, Some(Class::Cold));
    }

    /// Lets time pass: moves the rows' times back, because the databases' clocks cannot be moved.
    async fn pass(&mut self, ms: Millis) {
        self.passed += ms;
        let write = self.hosts[0].store().write_system(move |tx| {
            Box::pin(async move {
                for sql in [
                    "UPDATE lane SET next_at = next_at - $1, paced_until = paced_until - $1",
                    "UPDATE number SET next_at = next_at - $1",
                    "UPDATE message SET created_at = created_at - $1, send_at = CASE WHEN send_at > 0 THEN send_at - $1 ELSE 0 END",
                ] {
                    sqlx::query(sql).bind(ms).execute(tx.conn()).await?;
                }
                let state = sqlx::query_scalar("SELECT state FROM number");
                let state: Option<String> = state.fetch_one(tx.conn()).await?;
                let Some(state) = state else { return Ok(()) };
                let mut state: State = serde_json::from_str(&state).unwrap();
                let lasts = [&mut state.any, &mut state.non_reply, &mut state.cold];
                for last in lasts.into_iter().flatten() {
                    last.at -= ms;
                }
                let state = serde_json::to_string(&state).unwrap();
                let put = sqlx::query("UPDATE number SET state = $1").bind(state);
                put.execute(tx.conn()).await.map(drop)
            })
        });
        write.await.unwrap();
    }

    async fn now(&self) -> Millis {
        let store = self.hosts[0].store();
        let mut conn = store.read_system().await.unwrap();
        let now = passerelle_engine::store::now(store.dialect(), &mut conn).await;
        now.unwrap() + self.passed
    }

    /// Claims with a hundred callers at once. Returns what they were given.
    async fn claim(&self) -> Vec<(usize, SendMessage)> {
        let claims = (0..CALLERS).map(|n| {
            let host = n % 2;
            let services = self.hosts[host].clone();
            async move { (host, Lanes(services).claim(16).await.unwrap()) }
        });
        let mut claims: tokio::task::JoinSet<_> = claims.collect();
        let mut given = Vec::new();
        while let Some(claimed) = claims.join_next().await {
            let (host, jobs) = claimed.unwrap();
            given.extend(jobs.into_iter().map(|(_, job)| (host, job)));
        }
        given
    }

    /// Writes a message, now and then later than planned, and settles it.
    async fn write(&mut self, host: usize, job: &SendMessage) {
        let wait = i64::try_from(job.wait_ms).unwrap();
        let late = if self.chance.random_bool(0.5) {
            self.chance.random_range(0..90_000)
        } else {
            0
        };
        self.pass(wait + late).await;
        let services = self.hosts[host].clone();
        let claimed = outcome::load(&services, job).await.unwrap().unwrap();
        let class = claimed.message.class.unwrap();
        // A late write is found again by this gap.
        let state = sqlx::query_scalar("SELECT state FROM number");
        let state: String = {
            let mut conn = services.store().read_system().await.unwrap();
            state.fetch_one(&mut *conn).await.unwrap()
        };
        let state: State = serde_json::from_str(&state).unwrap();
        let gap = services.policy().reply.at(state.quantile());
        assert_eq!(i64::try_from(job.gap_ms), Ok(millis(gap)));
        let (wire_at, at) = (services.clock().monotonic(), self.now().await);
        // Somebody else may ask before it is settled, too.
        assert_eq!(self.claim().await.len(), 0, "two messages in flight");
        let outcome = Outcome::Written {
            wire_at,
            gap: Duration::from_millis(job.gap_ms),
            verdict: Some(ServerVerdict::Taken),
            members: None,
        };
        assert!(
            outcome::settle(&services, job, &claimed, &outcome)
                .await
                .is_ok()
        );
        self.written.push((class, at));
    }

    /// Checks that a tenant is shown what was sent.
    async fn check_view(&self) {
        let sent = u32::try_from(self.written.len()).unwrap();
        let expected = [
            ("replies_an_hour", 600, 0),
            ("messages_an_hour", 30, sent),
            ("messages_a_day", 150, sent),
            ("new_conversations_a_day", 20, sent),
            ("unanswered_in_30_days", 1000, sent),
        ];
        for session in &self.sessions {
            let view = view::read(&self.hosts[0], self.org, *session).await;
            let caps = view.unwrap().unwrap().caps;
            let caps: Vec<_> = caps
                .iter()
                // It counts at night only, where the recipients are.
                .filter(|cap| cap.name != "codes_at_night_an_hour")
                .map(|cap| (cap.name, cap.limit, cap.used))
                .collect();
            assert_eq!(caps, expected);
        }
    }

    /// Checks that the last message is far enough from those before it.
    fn check(&self) {
        let (last, before) = self.written.split_last().unwrap();
        let policy = self.hosts[0].policy();
        let floor = millis(policy.cold.floor());
        if let Some((_, at)) = before.last() {
            let gap = last.1 - at;
            assert!(
                gap + SLACK >= floor,
                "{gap} ms after the last message, seed {SEED}: {:?}",
                self.written
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn safety_a_hundred_dispatchers_of_two_hosts_keep_the_gaps_of_one_number() {
    let folder = tempfile::tempdir().unwrap();
    for url in testing::databases(&folder).await {
        let mut world = World::start(&url).await;
        for nth in 0..MESSAGES * 2 {
            world.accept(nth).await;
        }
        let mut given_to = HashMap::new();
        for round in 0.. {
            assert!(round < 200, "nothing is sent: {:?}", world.written);
            let step = world.chance.random_range(1_000..20_000);
            world.pass(step).await;
            let given = world.claim().await;
            assert!(given.len() <= 1, "{given:?}, seed {SEED}");
            let Some((host, job)) = given.into_iter().next() else {
                continue;
            };
            *given_to.entry(job.session).or_insert(0) += 1;
            world.write(host, &job).await;
            world.check();
            if world.written.len() == MESSAGES {
                break;
            }
        }
        assert!(given_to.len() > 1, "one session sent all: {given_to:?}");
        world.check_view().await;
        world.hosts[0].store().close().await;
    }
}
