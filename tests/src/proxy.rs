//! A TCP proxy between the gateway and a server. It can cut, slow down, or drop the answer to a commit.

use anyhow::Result;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};
use tokio_util::task::AbortOnDropHandle;

/// Forwards connections to one address, or refuses them.
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    open: watch::Sender<bool>,
    ills: Arc<Ills>,
    _task: AbortOnDropHandle<()>,
}

/// The faults of the connections, other than a cut.
#[derive(Default)]
struct Ills {
    /// How many of the next commits are forwarded while their answers and connections are dropped.
    commits: AtomicU32,
    /// How long each request is delayed.
    slow_ms: AtomicU64,
}

impl Proxy {
    /// Starts a proxy to `target` (`host:port`).
    pub async fn to(target: String) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let open = watch::Sender::new(true);
        let ills = Arc::<Ills>::default();
        #[expect(
            clippy::disallowed_methods,
            reason = "aborted when the proxy is dropped"
        )]
        let task = tokio::spawn(accept(
            listener,
            target,
            open.subscribe(),
            Arc::clone(&ills),
        ));
        Ok(Self {
            address,
            open,
            ills,
            _task: AbortOnDropHandle::new(task),
        })
    }

    /// Cuts every connection and refuses new ones.
    pub fn cut(&self) {
        self.open.send_replace(false);
    }

    /// Allows connections again.
    pub fn mend(&self) {
        self.open.send_replace(true);
    }

    /// Forwards this many of the next commits to the server and drops their answers.
    pub fn lose_commits(&self, count: u32) {
        self.ills.commits.store(count, SeqCst);
    }

    /// Delays each request by this time.
    pub fn slow_down(&self, by: Duration) {
        let ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.ills.slow_ms.store(ms, SeqCst);
    }
}

impl Ills {
    /// Returns whether the answer to this request must be dropped.
    fn takes(&self, asked: &[u8]) -> bool {
        asked.windows(6).any(|word| word == b"COMMIT")
            && self
                .commits
                .fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1))
                .is_ok()
    }
}

async fn accept(
    listener: TcpListener,
    target: String,
    open: watch::Receiver<bool>,
    ills: Arc<Ills>,
) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((from, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        if *open.borrow() {
            let (target, open, ills) = (target.clone(), open.clone(), Arc::clone(&ills));
            connections.spawn(pass(from, target, open, ills));
        }
    }
}

async fn pass(from: TcpStream, target: String, mut open: watch::Receiver<bool>, ills: Arc<Ills>) {
    let Ok(to) = TcpStream::connect(target).await else {
        return;
    };
    // With Nagle's algorithm each small request would wait for the acknowledgement of the last one.
    let _ = (from.set_nodelay(true), to.set_nodelay(true));
    let ((asked, mut told), (mut answer, ask)) = (from.into_split(), to.into_split());
    tokio::select! {
        () = pass_on(asked, ask, &ills) => {}
        _ = tokio::io::copy(&mut answer, &mut told) => {}
        _ = open.wait_for(|open| !*open) => {}
    }
}

/// Forwards requests until the connection ends or an answer must be dropped.
async fn pass_on(mut asked: OwnedReadHalf, mut ask: OwnedWriteHalf, ills: &Ills) {
    let mut chunk = vec![0; 16 << 10];
    while let Ok(read @ 1..) = asked.read(&mut chunk).await {
        let slow = Duration::from_millis(ills.slow_ms.load(SeqCst));
        if !slow.is_zero() {
            tokio::time::sleep(slow).await;
        }
        let lost = ills.takes(&chunk[..read]);
        if ask.write_all(&chunk[..read]).await.is_err() || lost {
            return;
        }
    }
}
