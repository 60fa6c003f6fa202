//! A receiver on loopback that answers as scripted and returns what it received.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use poem::{
    EndpointExt as _, IntoResponse as _, Response, Server, handler,
    http::{HeaderMap, StatusCode},
    listener::{Acceptor as _, Listener as _, TcpListener},
    web::Data,
};
use tokio::{sync::mpsc, task::AbortHandle};

/// The deadline of every wait.
pub(super) const SOON: Duration = Duration::from_secs(20);

/// How the receiver answers.
#[derive(Clone)]
pub(super) enum Answer {
    Status(u16),
    /// A status with one header.
    With(u16, &'static str, String),
    /// Never answers.
    Hang,
    /// A body of this many bytes.
    Body(usize),
}

/// One POST as it arrived.
#[derive(Debug)]
pub(super) struct Got {
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Got {
    pub(super) fn id(&self) -> &str {
        self.headers["webhook-id"].to_str().unwrap()
    }
}

pub(super) struct Receiver {
    pub(super) url: String,
    script: Arc<Mutex<Vec<Answer>>>,
    got: mpsc::UnboundedReceiver<Got>,
    serving: AbortHandle,
}

#[derive(Clone)]
struct Desk {
    /// The answers, the next one last. The final one is kept.
    script: Arc<Mutex<Vec<Answer>>>,
    got: mpsc::UnboundedSender<Got>,
}

impl Receiver {
    /// Gives each answer once, and repeats the last one.
    pub(super) async fn start(mut answers: Vec<Answer>) -> Self {
        answers.reverse();
        let script = Arc::new(Mutex::new(answers));
        let (sender, got) = mpsc::unbounded_channel();
        let acceptor = TcpListener::bind("127.0.0.1:0")
            .into_acceptor()
            .await
            .unwrap();
        let address = acceptor.local_addr()[0].as_socket_addr().copied().unwrap();
        let desk = Desk {
            script: Arc::clone(&script),
            got: sender,
        };
        let app = poem::Route::new().at("/*path", poem::post(receive).get(receive).data(desk));
        let server = Server::new_with_acceptor(acceptor);
        #[expect(clippy::disallowed_methods, reason = "ends with the receiver")]
        let serving = tokio::spawn(async move { server.run(app).await.unwrap() }).abort_handle();
        Self {
            url: format!("http://{address}/hooks"),
            script,
            got,
            serving,
        }
    }

    /// Gives this answer from now on.
    pub(super) fn answer(&self, answer: Answer) {
        *self.script.lock().unwrap() = vec![answer];
    }

    pub(super) async fn next(&mut self) -> Got {
        tokio::time::timeout(SOON, self.got.recv())
            .await
            .expect("a webhook arrives")
            .unwrap()
    }

    /// Returns the requests that were not read yet.
    pub(super) fn rest(&mut self) -> Vec<Got> {
        std::iter::from_fn(|| self.got.try_recv().ok()).collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

#[handler]
async fn receive(Data(desk): Data<&Desk>, headers: &HeaderMap, body: Vec<u8>) -> Response {
    desk.got
        .send(Got {
            headers: headers.clone(),
            body,
        })
        .ok();
    let answer = {
        let mut script = desk.script.lock().unwrap();
        if script.len() > 1 {
            script.pop().unwrap()
        } else {
            script[0].clone()
        }
    };
    match answer {
        Answer::Status(status) => StatusCode::from_u16(status).unwrap().into_response(),
        Answer::With(status, name, value) => StatusCode::from_u16(status)
            .unwrap()
            .with_header(name, value)
            .into_response(),
        Answer::Hang => std::future::pending().await,
        Answer::Body(bytes) => "x".repeat(bytes).into_response(),
    }
}
