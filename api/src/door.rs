//! The door: it looks up the key of a request before it reads the body. A body uses the memory of its
//! organisation's share.
//!
//! Without a valid key, a body is read and dropped. The operation runs without it, and refuses the request
//! because it has no key.

use std::{net::IpAddr, sync::Arc, time::Duration};

use passerelle_jobs::Services;
use poem::{Addr, Body, Endpoint, Request, Response, http::header};

use crate::{
    addresses::Addresses,
    auth::{self, AdminKey, Visitor},
    gather::{self, Bodies, Holder},
    intake::{self, Intake},
    limits,
    problem::{Code, Problem},
};

/// Stands before all routes.
pub struct Door<E> {
    inner: E,
    services: Services,
    admin: AdminKey,
    addresses: Arc<Addresses>,
    bodies: Bodies,
}

impl<E: Endpoint<Output = Response>> Door<E> {
    /// Wraps the endpoint of all routes.
    pub fn new(inner: E, services: Services, admin: AdminKey, addresses: Arc<Addresses>) -> Self {
        Self {
            inner,
            services,
            admin,
            addresses,
            bodies: Bodies::default(),
        }
    }

    /// Returns who asks. Only operations of the API have a key; a probe must not need the store.
    async fn visitor(&self, request: &Request, client: IpAddr) -> Result<Visitor, Problem> {
        if !request.uri().path().starts_with("/v1/") {
            return Ok(Visitor::Stranger);
        }
        let recognised = auth::recognise(&self.services, &self.admin, request);
        let visitor = within(limits::ANSWER_WITHIN, recognised).await?;
        if visitor == Visitor::Stranger && request.headers().contains_key(header::AUTHORIZATION) {
            self.addresses.refused_key(client)?;
        }
        Ok(visitor)
    }

    async fn pass(&self, mut request: Request, holder: Holder) -> poem::Result<Response> {
        let max = match Intake::of(request.method(), request.uri().path()) {
            Intake::Gathered(max) => max,
            Intake::Streamed => {
                let (body, rest) = intake::stream(request.take_body(), intake::UPLOAD);
                request.set_body(body);
                let answer = within(limits::UPLOAD_WITHIN, self.inner.call(request)).await;
                if rest.was_late() {
                    return Err(too_slow().into());
                }
                rest.discard(limits::DISCARD_MAX).await;
                return answer;
            }
        };
        let announced = announced(&request);
        let gathered = gather::gather(request.take_body(), announced, max, &self.bodies, holder);
        // The share is released with the answer.
        let (body, _share) = gathered.await?;
        request.set_body(Body::from(body));
        within(limits::ANSWER_WITHIN, self.inner.call(request)).await
    }

    async fn refuse(&self, mut request: Request) -> poem::Result<Response> {
        let (body, rest) = intake::stream(request.take_body(), intake::UPLOAD);
        drop(body);
        let answer = within(limits::ANSWER_WITHIN, self.inner.call(request)).await;
        rest.discard(limits::STRANGERS_DISCARD_MAX).await;
        answer
    }
}

impl<E: Endpoint<Output = Response>> Endpoint for Door<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let peer = peer(&request);
        let client = self.addresses.client(peer, request.headers());
        let open = self.addresses.request(peer, client)?;
        let visitor = self.visitor(&request, client).await?;
        request.set_data(visitor);
        let mut answer = match visitor {
            Visitor::Tenant(tenant) => self.pass(request, Holder::Tenant(tenant.org)).await?,
            Visitor::Operator => self.pass(request, Holder::Operator).await?,
            Visitor::Stranger | Visitor::Suspended(_) => self.refuse(request).await?,
        };
        // Counted until its body has been sent.
        answer.set_data(Arc::new(open));
        Ok(answer)
    }
}

async fn within<T, E: From<Problem>>(
    deadline: Duration,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let done = tokio::time::timeout(deadline, work).await;
    let late = || {
        Problem::new(Code::DeadlineExceeded).detail(format!(
            "A request must be answered within {} seconds. This limit is fixed.",
            deadline.as_secs()
        ))
    };
    done.unwrap_or_else(|_| Err(late().into()))
}

fn too_slow() -> Problem {
    Problem::new(Code::RequestTimeout).detail(format!(
        "A streamed body may pause for at most {} seconds, and must have at least {} bytes per second. These limits are \
         fixed.",
        limits::PAUSE_MAX.as_secs(),
        limits::UPLOAD_RATE_MIN,
    ))
}

/// Returns the length of the body as the headers announce it; `None` if it is sent in chunks.
fn announced(request: &Request) -> Option<u64> {
    let headers = request.headers();
    let length = headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse().ok());
    let chunked = headers.contains_key(header::TRANSFER_ENCODING);
    length.or((!chunked).then_some(0))
}

fn peer(request: &Request) -> IpAddr {
    match &**request.remote_addr() {
        Addr::SocketAddr(at) => at.ip(),
        _ => std::net::Ipv4Addr::UNSPECIFIED.into(),
    }
}
