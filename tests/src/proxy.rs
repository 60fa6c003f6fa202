//! A TCP proxy that can be cut, to take a server away from the gateway.

use anyhow::Result;
use std::net::SocketAddr;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_util::task::AbortOnDropHandle;

/// Passes connections on to one address, or none.
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    open: watch::Sender<bool>,
    _task: AbortOnDropHandle<()>,
}

impl Proxy {
    /// A proxy to `target` (`host:port`).
    pub async fn to(target: String) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let open = watch::Sender::new(true);
        #[expect(
            clippy::disallowed_methods,
            reason = "aborted when the proxy is dropped"
        )]
        let task = tokio::spawn(accept(listener, target, open.subscribe()));
        Ok(Self {
            address,
            open,
            _task: AbortOnDropHandle::new(task),
        })
    }

    /// Cuts every connection and refuses new ones.
    pub fn cut(&self) {
        self.open.send_replace(false);
    }

    /// Lets connections through again.
    pub fn mend(&self) {
        self.open.send_replace(true);
    }
}

async fn accept(listener: TcpListener, target: String, open: watch::Receiver<bool>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((from, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        if *open.borrow() {
            connections.spawn(pass(from, target.clone(), open.clone()));
        }
    }
}

async fn pass(mut from: TcpStream, target: String, mut open: watch::Receiver<bool>) {
    let Ok(mut to) = TcpStream::connect(target).await else {
        return;
    };
    tokio::select! {
        _ = copy_bidirectional(&mut from, &mut to) => {}
        _ = open.wait_for(|open| !*open) => {}
    }
}
