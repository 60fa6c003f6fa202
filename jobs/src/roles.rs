//! What a process does: any of running sessions, delivering webhooks, fetching files and sweeping.

use std::{sync::Arc, time::Duration};

use passerelle_engine::whatsapp::WhatsApp;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    host::{Host, claim, send},
    media::{fetch::Fetcher, retention},
    messages::opt_out::queued,
    preview::job::{self as preview, Previewer, Previews},
    queue::{
        tokens::{self, Travels},
        transport::{self, Transport},
        worker::{self, Workload},
    },
    services::Services,
    sessions::{erase, live},
    state::token_link::TokenLink,
    sweep, time, wake,
    webhook::deliver::Deliverer,
};

/// The most messages being sent at once, over all sessions of a host. A message that waits for a silent
/// server delays only its own lane.
const SENDS: usize = 8192;
/// No timeout ends a job: every wait inside it is bounded, except during a database outage, which the
/// job must outlast.
const NEVER: Duration = Duration::from_hours(24);

/// The running work of this process.
pub struct Running {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Running {
    /// Starts with no work.
    pub fn idle() -> Self {
        Self {
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }
    }

    /// Returns the tracker of every task of this process.
    pub fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Returns the token that is cancelled when the process has to stop.
    #[cfg(feature = "sandbox")]
    pub(crate) fn stopping(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Runs sessions and their lanes.
    pub fn host(&self, services: &Services, whatsapp: WhatsApp) {
        let host = Host::new(
            services.clone(),
            whatsapp,
            self.tasks.clone(),
            self.stop.clone(),
        );
        self.tasks.spawn(host.run());
        let sending = services.clone();
        let workload = Workload {
            boot: services.boot().to_string(),
            concurrency: SENDS,
            timeout: NEVER,
        };
        self.tasks.spawn(worker::run(
            Arc::new(claim::Lanes(services.clone())),
            Arc::clone(services.lanes()),
            workload,
            self.tasks.clone(),
            self.stop.clone(),
            move |job| send::send(sending.clone(), job),
        ));
    }

    /// Delivers webhooks. Fails if the system's TLS roots cannot be read.
    pub fn deliver(&self, services: &Services) -> anyhow::Result<()> {
        let deliverer = Deliverer::new(
            services.store().clone(),
            services.vault().clone(),
            services.clock().clone(),
            services.settings().egress.clone(),
            services.settings().media.clone(),
            services.settings().schedule,
            services.chance(),
        )?;
        self.work_on(services, deliverer, services.deliveries());
        Ok(())
    }

    /// Fetches files. Fails if the system's TLS roots cannot be read.
    pub fn fetch(&self, services: &Services, whatsapp: WhatsApp) -> anyhow::Result<()> {
        let fetcher = Fetcher::new(services.clone(), whatsapp)?;
        self.work_on(services, fetcher, services.fetches());
        Ok(())
    }

    /// Runs jobs that are claimed from the store or travel as tokens.
    fn work_on<K: Travels>(&self, services: &Services, kind: K, link: &Arc<TokenLink>) {
        let kind = Arc::new(kind);
        self.tasks.spawn(tokens::run(
            Arc::clone(&kind),
            Arc::clone(link),
            services.boot().to_string(),
            self.tasks.clone(),
            self.stop.clone(),
        ));
        let redis = services.settings().redis.as_ref();
        let Some(redis) = redis.filter(|_| services.is_shared()) else {
            return;
        };
        let transport = Transport {
            kind,
            store: services.store().clone(),
            clock: services.clock().clone(),
            redis: redis.clone(),
            queue: format!("{}:{}", services.name_in_redis(), K::NAME),
            host: Arc::clone(&services.settings().host),
            boot: Arc::clone(services.boot()),
            link: Arc::clone(link),
        };
        let running = transport::run(transport, self.tasks.clone(), self.stop.clone());
        self.tasks.spawn(running);
    }

    /// Fetches link previews. Fails if the system's TLS roots cannot be read.
    pub fn preview(&self, services: &Services) -> anyhow::Result<()> {
        let previewer = Arc::new(Previewer::new(services.clone())?);
        let workload = Workload {
            boot: services.boot().to_string(),
            concurrency: preview::CONCURRENCY,
            timeout: preview::TIMEOUT,
        };
        self.tasks.spawn(worker::run(
            Arc::new(Previews(services.clone())),
            Arc::clone(services.previews()),
            workload,
            self.tasks.clone(),
            self.stop.clone(),
            move |job| {
                let previewer = Arc::clone(&previewer);
                async move { previewer.fetch(job).await }
            },
        ));
        Ok(())
    }

    /// Follows the clock that all processes share.
    pub fn keep_time(&self, services: &Services) {
        self.tasks
            .spawn(time::keep(services.clone(), self.stop.clone()));
    }

    /// Follows the sessions that somebody watches here, if they may run in other processes.
    pub fn follow(&self, services: &Services) {
        if services.is_shared() {
            let following = live::follow(services.clone(), self.stop.clone());
            self.tasks.spawn(following);
        }
    }

    /// Wakes the other processes and is woken by them.
    pub fn wake(&self, services: &Services) {
        self.tasks
            .spawn(wake::run(services.clone(), self.stop.clone()));
    }

    /// Runs the sweeps.
    pub fn sweep(&self, services: &Services) {
        self.tasks
            .spawn(sweep::run(services.clone(), self.stop.clone()));
        self.tasks
            .spawn(retention::run(services.clone(), self.stop.clone()));
        self.tasks
            .spawn(erase::run(services.clone(), self.stop.clone()));
        self.tasks
            .spawn(queued::run(services.clone(), self.stop.clone()));
    }

    /// Stops claiming, lets messages in flight finish, disconnects the sessions, and returns when all
    /// work has ended or `grace` is over.
    pub async fn shutdown(self, grace: Duration) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(grace, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                left = self.tasks.len(),
                "stopped before all tasks had ended"
            );
        }
    }
}
