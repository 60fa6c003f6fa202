//! Clients that can be given a proxy but no address: `CONNECT`, and WhatsApp's hosts in the
//! certificate.

use reqwest::{Certificate, Client, Proxy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::raw::{Companion, DEADLINE};
use crate::sim::Sim;

/// Returns a client that reaches every host through the simulator and trusts only its certificate.
async fn through(sim: &Sim) -> Client {
    let pem = sim.get("/cert").await;
    let certificate = Certificate::from_pem(pem.as_str().unwrap().as_bytes()).unwrap();
    let proxy = Proxy::all(format!("http://{}", sim.server.addr())).unwrap();
    Client::builder()
        .proxy(proxy)
        .tls_certs_only([certificate])
        .build()
        .unwrap()
}

#[tokio::test]
async fn whatsapp_s_hosts_lead_to_the_simulator() {
    let sim = Sim::start();
    let client = through(&sim).await;
    let root = sim.get("/root").await;
    for host in ["web.whatsapp.com", "mmg.whatsapp.net", "g.whatsapp.net"] {
        let reply = client.get(format!("https://{host}/control/root")).send();
        let reply = reply.await.unwrap().text().await.unwrap();
        assert_eq!(reply, root.as_str().unwrap(), "{host}");
    }
    let other = client.get("https://example.org/control/root").send().await;
    assert!(other.is_err(), "the certificate does not name other hosts");
}

/// Opens a tunnel by hand and returns it behind the head of the answer.
async fn tunnel(sim: &Sim, host: &str) -> TcpStream {
    let mut stream = TcpStream::connect(sim.server.addr()).await.unwrap();
    let asked = format!("CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n");
    stream.write_all(asked.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 200 "), "{head:?}");
    stream
}

#[tokio::test]
async fn a_client_pairs_through_a_tunnel_to_any_host() {
    let sim = Sim::start();
    let stream = tunnel(&sim, "chat.example.org").await;
    let mut companion = Companion::new(&sim);
    companion.connect_over(stream).await;
    assert!(companion.qr().await.starts_with("2@"));
}

#[tokio::test]
async fn an_open_tunnel_that_is_not_used_does_not_hold_up_the_end() {
    let sim = Sim::start();
    let _silent = tunnel(&sim, "example.org").await;
    let stopped = tokio::time::timeout(DEADLINE / 4, sim.server.stop()).await;
    assert!(stopped.is_ok(), "the simulator stops at once");
}
