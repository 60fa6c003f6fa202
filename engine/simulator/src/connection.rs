//! One client on its WebSocket: handshake, then login or pairing, then stanzas until it closes.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use poem::web::websocket::{CloseCode, Message as Ws, WebSocketStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use wacore_binary::Node;
use waproto::buffa::Message;
use waproto::whatsapp::ClientPayload;

use crate::dispatch::{Client, dispatch};
use crate::frames::{Frames, wrap};
use crate::next_step::NextStep;
use crate::noise::{FrameCipher, HandshakeReply, SecureChannel};
use crate::state::address::Address;
use crate::state::device::{DeviceConnection, MAILBOX, Mail};
use crate::state::ledger::FrameTime;
use crate::state::world::World;
use crate::{login, noise, pairing};

/// A client that needs longer for its handshake is disconnected.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long the server waits for a client to close the connection.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

type Sink = SplitSink<WebSocketStream, Ws>;
type Stream = SplitStream<WebSocketStream>;

/// Serves one WebSocket until it closes.
pub(crate) async fn serve(world: Arc<World>, socket: WebSocketStream) {
    let stop = world.stop.clone();
    tokio::select! {
        () = stop.cancelled() => {}
        outcome = connected(&world, socket) => {
            if let Err(error) = outcome {
                tracing::debug!(error = %format!("{error:#}"), "a connection ended");
            }
        }
    }
}

/// Reads bytes from the socket and cuts them into frames.
struct FrameReader {
    stream: Stream,
    frames: Frames,
    waiting: std::collections::VecDeque<(Vec<u8>, FrameTime)>,
}

impl FrameReader {
    /// Returns the next frame and when it was read. Returns `None` when the client has closed.
    async fn next(&mut self, world: &World) -> anyhow::Result<Option<(Vec<u8>, FrameTime)>> {
        loop {
            if let Some(frame) = self.waiting.pop_front() {
                return Ok(Some(frame));
            }
            let Some(message) = self.stream.next().await else {
                return Ok(None);
            };
            let read = FrameTime {
                at_ms: world.clock.millis(),
                wire_us: world.clock.micros(),
            };
            match message? {
                Ws::Binary(bytes) => {
                    let whole = self.frames.take(&bytes)?;
                    self.waiting
                        .extend(whole.into_iter().map(|frame| (frame, read)));
                }
                Ws::Text(_) => bail!("the client sent text instead of binary"),
                Ws::Close(_) => return Ok(None),
                Ws::Ping(_) | Ws::Pong(_) => {}
            }
        }
    }
}

async fn connected(world: &Arc<World>, socket: WebSocketStream) -> anyhow::Result<()> {
    let (mut sink, stream) = socket.split();
    let mut input = FrameReader {
        stream,
        frames: Frames::default(),
        waiting: std::collections::VecDeque::new(),
    };
    let secured = tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake(world, &mut input, &mut sink));
    let secured = secured.await.context("the handshake took too long")??;
    let SecureChannel {
        client_key,
        payload,
        receive,
        send,
    } = secured;
    let payload =
        ClientPayload::decode_from_slice(&payload).context("decoding the client payload")?;
    let (mail, letters) = mpsc::channel(MAILBOX);
    let gone = CancellationToken::new();
    let connection = DeviceConnection {
        number: world.next_connection(),
        mail,
        gone: gone.clone(),
    };
    let output = FrameWriter {
        world: Arc::clone(world),
        sink,
        send,
    };
    world
        .tasks
        .spawn(output.run(letters, gone.clone(), world.stop.clone()));
    let client = admit(world, &connection, client_key, payload).await;
    let outcome = match &client {
        Some(client) => read(world, client, &connection, input, receive, &gone).await,
        None => wait_for_close(input, &gone).await,
    };
    forget_connection(world, client.as_ref(), &connection);
    outcome
}

async fn handshake(
    world: &World,
    input: &mut FrameReader,
    sink: &mut Sink,
) -> anyhow::Result<SecureChannel> {
    let (hello, _) = input
        .next(world)
        .await?
        .context("the client sent no hello")?;
    let answer = noise::answer(&hello, &world.noise, &mut world.state().rng)?;
    match answer {
        HandshakeReply::Done { reply, secured } => {
            sink.send(Ws::Binary(wrap(&reply))).await?;
            Ok(*secured)
        }
        HandshakeReply::More { reply, half } => {
            sink.send(Ws::Binary(wrap(&reply))).await?;
            let (finish, _) = input
                .next(world)
                .await?
                .context("the client sent no finish")?;
            half.finish(&finish)
        }
    }
}

/// Starts a pairing or a login. Returns `None` if the login was refused; the client has been sent
/// the reason.
async fn admit(
    world: &Arc<World>,
    connection: &DeviceConnection,
    key: [u8; 32],
    mut payload: ClientPayload,
) -> Option<Client> {
    if let Some(data) = payload.device_pairing_data.take() {
        pairing::begin(world, connection.clone(), key, data);
        return Some(Client::Pairing(connection.number));
    }
    match login::admit(world, connection, &key, &payload).await {
        Ok(address) => Some(Client::Device(address)),
        Err(refusal) => {
            let _ = connection.mail.try_send(Mail::Bye(refusal.map(Arc::new)));
            None
        }
    }
}

async fn read(
    world: &Arc<World>,
    client: &Client,
    connection: &DeviceConnection,
    mut input: FrameReader,
    mut receive: FrameCipher,
    gone: &CancellationToken,
) -> anyhow::Result<()> {
    loop {
        let next = tokio::select! {
            () = gone.cancelled() => return wait_for_close(input, gone).await,
            next = input.next(world) => next?,
        };
        let Some((frame, read)) = next else {
            return Ok(());
        };
        let node = decode(&receive.open(frame)?)?;
        world.stats.count("frames_in");
        match dispatch(world, client, &node, read) {
            NextStep::Reply(reply) => {
                let _ = connection.mail.try_send(Mail::Stanza(Arc::new(reply)));
            }
            NextStep::Later(wait, reply) => later(world, connection, wait, reply),
            NextStep::Silence => {}
            NextStep::Cut => {
                gone.cancel();
                return Ok(());
            }
            NextStep::Goodbye(last) => {
                let _ = connection.mail.try_send(Mail::Bye(Some(Arc::new(last))));
            }
        }
    }
}

fn decode(plain: &[u8]) -> anyhow::Result<Node> {
    let unpacked = wacore_binary::util::unpack(plain)?;
    Ok(wacore_binary::marshal::unmarshal_ref(&unpacked)?.to_owned())
}

fn later(world: &World, connection: &DeviceConnection, wait: Duration, reply: Node) {
    let mail = connection.mail.clone();
    let stop = world.stop.clone();
    world.tasks.spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(wait) => {
                let _ = mail.try_send(Mail::Stanza(Arc::new(reply)));
            }
        }
    });
}

/// Waits until the client has read the last stanza and closed the connection.
async fn wait_for_close(mut input: FrameReader, gone: &CancellationToken) -> anyhow::Result<()> {
    gone.cancelled().await;
    let closed = async { while let Some(Ok(_)) = input.stream.next().await {} };
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, closed).await;
    Ok(())
}

/// Removes the connection from its device, unless a newer connection has replaced it.
fn forget_connection(world: &World, client: Option<&Client>, connection: &DeviceConnection) {
    let mut state = world.state();
    match client {
        Some(Client::Pairing(connection)) => {
            state.pairings.remove(connection);
        }
        Some(Client::Device(Address { pn, device })) => {
            let account = state.accounts.get_mut(pn);
            if let Some(device) = account.and_then(|account| account.devices.get_mut(device))
                && device.connection.as_ref().map(|known| known.number) == Some(connection.number)
            {
                device.connection = None;
                device.active = false;
            }
        }
        None => {}
    }
}

/// The writing half of a connection.
struct FrameWriter {
    world: Arc<World>,
    sink: Sink,
    send: FrameCipher,
}

impl FrameWriter {
    /// Writes stanzas until the simulator stops, the socket fails or every sender is dropped.
    async fn run(
        mut self,
        mut letters: mpsc::Receiver<Mail>,
        gone: CancellationToken,
        stop: CancellationToken,
    ) {
        let outcome = tokio::select! {
            // A cut connection gets no close frame.
            () = gone.cancelled() => return,
            () = stop.cancelled() => Ok(()),
            outcome = self.write(&mut letters) => outcome,
        };
        if let Err(error) = outcome {
            tracing::debug!(error = %format!("{error:#}"), "writing to a client failed");
        }
        let close = Ws::Close(Some((CloseCode::Normal, String::new())));
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, self.sink.send(close)).await;
        gone.cancel();
    }

    async fn write(&mut self, letters: &mut mpsc::Receiver<Mail>) -> anyhow::Result<()> {
        while let Some(mail) = letters.recv().await {
            let mut next = Some(mail);
            while let Some(mail) = next {
                match mail {
                    Mail::Stanza(node) => self.feed(&node).await?,
                    Mail::Bye(last) => {
                        if let Some(node) = last {
                            self.feed(&node).await?;
                        }
                        self.sink.flush().await?;
                        return Ok(());
                    }
                }
                next = letters.try_recv().ok();
            }
            self.sink.flush().await?;
        }
        Ok(())
    }

    async fn feed(&mut self, node: &Node) -> anyhow::Result<()> {
        let plain = wacore_binary::marshal(node)?;
        let frame = wrap(&self.send.seal(&plain)?);
        self.world.stats.count("frames_out");
        self.sink.feed(Ws::Binary(frame)).await?;
        Ok(())
    }
}
