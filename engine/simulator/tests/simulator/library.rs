//! whatsapp-rust as a client of the simulator. A bare client links it. It logs in with the
//! certificates that the bare client saw, so that it needs no build that trusts every certificate.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;
use wacore::net::{HttpClient, HttpRequest, HttpResponse};
use wacore::store::device::{CachedNoiseCert, CachedServerCertChain};
use wacore::store::traits::DeviceStore;
use wacore::store::{Device, InMemoryBackend};
use wacore::types::events::{Event, EventKind, InboundMessage, Receipt, ServerAck};
use waproto::buffa::Message as _;
use waproto::whatsapp::CertChain;
use waproto::whatsapp::cert_chain::NoiseCertificate;
use waproto::whatsapp::cert_chain::noise_certificate::Details;
use whatsapp_rust::bot::{Bot, BotHandle, EventDelivery};
use whatsapp_rust::{Client, Jid, TokioRuntime};
use whatsapp_rust_tokio_transport::TokioWebSocketTransportFactory;

use crate::sim::Sim;

const DEADLINE: Duration = Duration::from_secs(20);

/// An HTTP client that trusts the simulator's certificate.
struct Http(reqwest::Client);

#[async_trait]
impl HttpClient for Http {
    async fn execute(&self, request: HttpRequest) -> anyhow::Result<HttpResponse> {
        let method = request.method.parse()?;
        let mut builder = self.0.request(method, &request.url);
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        if let Some(body) = request.body {
            builder = builder.body(body);
        }
        let reply = builder.send().await?;
        Ok(HttpResponse {
            status_code: reply.status().as_u16(),
            body: reply.bytes().await?.to_vec(),
        })
    }
}

type Sender<T> = mpsc::UnboundedSender<T>;
type Receiver<T> = mpsc::UnboundedReceiver<T>;

/// Sends the client's events to the test.
struct EventSender {
    messages: Sender<InboundMessage>,
    unopened: Sender<String>,
    receipts: Sender<Receipt>,
    acks: Sender<ServerAck>,
    groups: Sender<Jid>,
}

impl EventSender {
    const KINDS: [EventKind; 5] = [
        EventKind::Messages,
        EventKind::UndecryptableMessage,
        EventKind::Receipt,
        EventKind::ServerAck,
        EventKind::GroupUpdate,
    ];

    fn send(&self, event: &Event) {
        for message in event.messages() {
            let _ = self.messages.send(message.clone());
        }
        let _ = match event {
            Event::UndecryptableMessage(odd) => self.unopened.send(odd.info.id.clone()).is_ok(),
            Event::Receipt(receipt) => self.receipts.send(receipt.clone()).is_ok(),
            Event::ServerAck(ack) => self.acks.send(ack.clone()).is_ok(),
            Event::GroupUpdate(update) => self.groups.send(update.group_jid.clone()).is_ok(),
            _ => false,
        };
    }
}

/// The events of the client.
struct EventReceiver {
    messages: Receiver<InboundMessage>,
    unopened: Receiver<String>,
    receipts: Receiver<Receipt>,
    acks: Receiver<ServerAck>,
    groups: Receiver<Jid>,
}

fn event_channels() -> (EventSender, EventReceiver) {
    let (messages, messages_out) = mpsc::unbounded_channel();
    let (unopened, unopened_out) = mpsc::unbounded_channel();
    let (receipts, receipts_out) = mpsc::unbounded_channel();
    let (acks, acks_out) = mpsc::unbounded_channel();
    let (groups, groups_out) = mpsc::unbounded_channel();
    let sender = EventSender {
        messages,
        unopened,
        receipts,
        acks,
        groups,
    };
    let events = EventReceiver {
        messages: messages_out,
        unopened: unopened_out,
        receipts: receipts_out,
        acks: acks_out,
        groups: groups_out,
    };
    (sender, events)
}

/// Returns the next item that `wanted` accepts. Fails after a deadline.
async fn await_next<T>(from: &mut Receiver<T>, wanted: impl Fn(&T) -> bool) -> T {
    let wait = async {
        loop {
            let one = from.recv().await.expect("a running client");
            if wanted(&one) {
                return one;
            }
        }
    };
    let waited = tokio::time::timeout(DEADLINE, wait).await;
    waited.expect("what was waited for, in time")
}

/// A running linked device.
pub(crate) struct Library {
    pub(crate) client: Arc<Client>,
    events: EventReceiver,
    handle: BotHandle,
}

impl Library {
    /// Links a device to a phone and logs it in.
    pub(crate) async fn link(sim: &Sim, phone: &str) -> Self {
        let companion = sim.link(phone).await;
        let mut device = companion.device.clone();
        device.server_cert_chain = Some(cached(&companion.chain));
        "Library".clone_into(&mut device.push_name);
        Self::start(sim, &device).await
    }

    async fn start(sim: &Sim, device: &Device) -> Self {
        let store = Arc::new(InMemoryBackend::new());
        store.save(device).await.unwrap();
        let (sender, events) = event_channels();
        let bot = Bot::builder()
            .with_backend_arc(store)
            .with_transport_factory(
                TokioWebSocketTransportFactory::new().with_url(sim.server.ws_url()),
            )
            .with_http_client(Http(sim.https().await))
            .with_runtime(TokioRuntime)
            .with_version((2, 3000, 1_020_000_000))
            .with_event_delivery(EventDelivery::Ordered { capacity: 1000 })
            .on_event_for(&EventSender::KINDS, move |event, _| {
                sender.send(&event);
                async {}
            })
            .build()
            .await
            .unwrap();
        let client = bot.client();
        let handle = bot.spawn();
        client.wait_for_connected(DEADLINE).await.unwrap();
        Self {
            client,
            events,
            handle,
        }
    }

    /// Waits until the device has the salt of its account's tokens for first contacts.
    pub(crate) async fn has_salt(&self) {
        let known = async {
            let store = self.client.persistence_manager();
            while store.get_device_snapshot().nct_salt.is_none() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let waited = tokio::time::timeout(DEADLINE, known).await;
        waited.expect("the salt in time");
    }

    /// Waits until the device has the privacy token of a contact.
    pub(crate) async fn has_token_of(&self, lid: &str) {
        let lid: Jid = lid.parse().unwrap();
        let known = async {
            let store = self.client.persistence_manager().backend();
            while store.get_tc_token(&lid.user).await.unwrap().is_none() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let waited = tokio::time::timeout(DEADLINE, known).await;
        waited.expect("the token in time");
    }

    /// Returns the next message that is not the account's own.
    pub(crate) async fn next(&mut self) -> InboundMessage {
        let foreign = |message: &InboundMessage| !message.info.source.is_from_me;
        await_next(&mut self.events.messages, foreign).await
    }

    /// Returns the id of the next message that could not be decrypted.
    pub(crate) async fn unopened(&mut self) -> String {
        await_next(&mut self.events.unopened, |_| true).await
    }

    /// Waits for a receipt of one message that `wanted` accepts.
    pub(crate) async fn receipt(&mut self, id: &str, wanted: impl Fn(&Receipt) -> bool) -> Receipt {
        let about = |receipt: &Receipt| receipt.message_ids.iter().any(|one| **one == *id);
        let receipts = &mut self.events.receipts;
        await_next(receipts, |one| about(one) && wanted(one)).await
    }

    /// Waits for the answer to a message and returns its error code.
    pub(crate) async fn refusal(&mut self, id: &str) -> Option<String> {
        let ack = await_next(&mut self.events.acks, |ack| *ack.id == *id).await;
        ack.error
    }

    /// Waits until the client gets a change of a group.
    pub(crate) async fn group_changed(&mut self, group: &Jid) {
        await_next(&mut self.events.groups, |one| one == group).await;
    }

    /// Sends a message and returns its id.
    pub(crate) async fn send(&self, to: &str, message: waproto::whatsapp::Message) -> String {
        let sent = self.client.send_message(jid(to), message).await.unwrap();
        sent.message_id.clone()
    }

    pub(crate) async fn stop(self) {
        self.handle.shutdown().await;
    }
}

/// Returns the address of a number.
pub(crate) fn jid(number: &str) -> Jid {
    Jid::pn(number.trim_start_matches('+'))
}

fn cached(chain: &[u8]) -> CachedServerCertChain {
    let chain = CertChain::decode_from_slice(chain).unwrap();
    CachedServerCertChain {
        intermediate: certificate(chain.intermediate.as_option().unwrap()),
        leaf: certificate(chain.leaf.as_option().unwrap()),
    }
}

fn certificate(certificate: &NoiseCertificate) -> CachedNoiseCert {
    let details = certificate.details.as_deref().unwrap();
    let details = Details::decode_from_slice(details).unwrap();
    CachedNoiseCert {
        key: details.key.unwrap().try_into().unwrap(),
        not_before: i64::try_from(details.not_before.unwrap()).unwrap(),
        not_after: i64::try_from(details.not_after.unwrap()).unwrap(),
    }
}
