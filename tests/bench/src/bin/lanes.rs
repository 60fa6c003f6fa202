//! Runs 10,000 lanes of 20 messages on SQLite, gaps of 1–5 s, without WhatsApp behind them. Prints one
//! JSON object.

use anyhow::{Context as _, Result};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use passerelle_jobs::{
    KekRing, Services, Settings, Store, Vault,
    clock::Clock,
    content::{Content, Phone},
    host::null_sink::{self, Written},
    ids::{OrgId, SessionId},
    organisations,
    outbound::{self, NewMessage, To},
    queue::worker::Workload,
    roles::Running,
    safety::{pace::Pace, preset::Preset},
    sessions,
    settings::{MediaSettings, PREVIEW_AGENT},
    webhook::{guard::Egress, schedule::Schedule},
};
use rand::{SeedableRng as _, rngs::StdRng};
use serde_json::json;
use std::{collections::HashMap, io::Write as _, time::Duration};
use tokio::sync::mpsc;

const LANES: u32 = 10_000;
const EACH: u32 = 20;
const FLOOR: Duration = Duration::from_secs(1);
const CEILING: Duration = Duration::from_secs(5);
const IDLE: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> Result<()> {
    let folder = tempfile::TempDir::with_prefix("passerelle-bench-")?;
    let services = services(&format!(
        "sqlite:{}",
        folder.path().join("lanes.db").display()
    ))
    .await?;
    let org = organisations::create(&services, "lanes").await?.id;
    let lanes: Vec<SessionId> = stream::iter(0..LANES)
        .map(async |n| {
            anyhow::Ok(
                sessions::create(&services, org, &n.to_string(), sessions::New::default())
                    .await?
                    .id,
            )
        })
        .buffered(64)
        .try_collect()
        .await?;
    fill(&services, org, &lanes).await?;
    let (tell, mut told) = mpsc::unbounded_channel();
    let running = Running::idle();
    let workload = Workload {
        boot: "bench".to_owned(),
        concurrency: 512,
        timeout: Duration::from_mins(1),
    };
    null_sink::run(&running, &services, workload, tell);
    stream::iter(lanes.chunks(500).map(Ok))
        .try_for_each_concurrent(20, |some| null_sink::open(&services, org, some))
        .await?;
    let mut all = Vec::new();
    while all.len() < usize::try_from(LANES * EACH)? {
        let one = tokio::time::timeout(Duration::from_mins(1), told.recv()).await;
        all.push(
            one.context("the lanes made no progress")?
                .context("the lanes ended")?,
        );
    }
    let idle_cpu = idle_cpu().await?;
    running.shutdown(Duration::from_secs(10)).await;
    let told = judge(all, idle_cpu)?;
    writeln!(std::io::stdout(), "{told}")?;
    Ok(())
}

async fn services(url: &str) -> Result<Services> {
    let (clock, chance) = (Clock::system(), StdRng::seed_from_u64(1));
    let store = Store::open(url).await?;
    store.migrate().await?;
    let (ring, _) = KekRing::generate();
    let vault = Vault::open(&store, ring, clock.clone()).await?;
    let settings = Settings {
        host: "bench".into(),
        egress_name: "bench".into(),
        redis: None,
        pace: Pace::new(FLOOR, CEILING, Duration::ZERO)?,
        preset: Preset::Sandbox,
        ack_timeout: Duration::from_secs(20),
        message_ttl: Duration::from_hours(24),
        lane_limit: 1000,
        session_limit: i64::MAX,
        preview_agent: PREVIEW_AGENT.into(),
        egress: Egress::new(Vec::new()),
        schedule: Schedule::default(),
        media: MediaSettings::nowhere(),
    };
    Ok(Services::new(store, vault, clock, settings, chance))
}

/// Accepts the messages, each as a request of a client would be.
async fn fill(services: &Services, org: OrgId, lanes: &[SessionId]) -> Result<()> {
    let to = Phone::parse("+4915199000001").context("a phone")?;
    for n in 0..EACH {
        stream::iter(lanes.iter().map(anyhow::Ok))
            .try_for_each_concurrent(128, async |session| {
                let content = Content::text(n.to_string());
                let new = NewMessage::of(*session, To::Phone(to.clone()), content);
                outbound::accept(services, org, new, None).await?;
                Ok(())
            })
            .await?;
    }
    Ok(())
}

/// Returns the share of a processor that this process uses while no lane has work.
async fn idle_cpu() -> Result<f64> {
    tokio::time::sleep(Duration::from_secs(3)).await;
    let before = cpu_ticks()?;
    tokio::time::sleep(IDLE).await;
    // A tick is a hundredth of a second on Linux.
    Ok((cpu_ticks()? - before) / 100.0 / IDLE.as_secs_f64())
}

fn cpu_ticks() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(") ").context("a name in brackets")?;
    let fields: Vec<_> = fields.split(' ').collect();
    Ok(fields[11].parse::<f64>()? + fields[12].parse::<f64>()?)
}

fn judge(all: Vec<Written>, idle_cpu: f64) -> Result<serde_json::Value> {
    let count = f64::from(u32::try_from(all.len())?);
    let first = all
        .iter()
        .map(|one| one.at)
        .min()
        .context("no message was sent")?;
    let mut rates = all.iter().map(|one| one.at - first).collect::<Vec<_>>();
    rates.sort_unstable();
    // Measures while all lanes are at work. In the last fifth only lanes with long gaps are left.
    let most = rates.len() * 4 / 5;
    let per_second = f64::from(u32::try_from(most)?) / rates[most].as_secs_f64();
    let mut lanes: HashMap<SessionId, Vec<Written>> = HashMap::new();
    for one in all {
        lanes.entry(one.session).or_default().push(one);
    }
    let (mut out_of_order, mut under_floor, mut late) = (0_u32, 0_u32, Vec::new());
    for lane in lanes.values_mut() {
        lane.sort_unstable_by_key(|one| one.at);
        for two in lane.windows(2) {
            let due = two[0].at + Duration::from_millis(two[0].gap_ms);
            out_of_order += u32::from(two[1].message < two[0].message);
            under_floor += u32::from(two[1].at < two[0].at + FLOOR);
            late.push(two[1].at.saturating_duration_since(due).as_secs_f64() * 1000.0);
        }
    }
    late.sort_unstable_by(f64::total_cmp);
    let p50 = late
        .get(late.len() / 2)
        .context("no lane has several messages")?;
    Ok(json!({
        "per_second": per_second, "sent": count, "out_of_order": out_of_order,
        "under_floor": under_floor, "idle_cpu": idle_cpu * 100.0, "p50_ms": p50,
    }))
}
