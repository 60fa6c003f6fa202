//! The QR code that a phone scans to link a session, once or as a stream of new codes.

mod following;

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use passerelle_jobs::{Services, ids::SessionId, model::Qr as Shown, sessions};
use poem::web::{Data, sse::Event};
use poem_openapi::{
    ApiResponse, Enum, Object, OpenApi, ResponseContent,
    param::{Header, Path, Query},
    payload::{Binary, EventStream, PlainText},
};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use self::following::{ended, follow, revoked};
use super::{Group, not_found};
use crate::{
    auth::Caller,
    body::Body,
    limits::QR_STREAM_MAX,
    problem::{Code, Problem},
    qr::Picture,
    quota::Quotas,
    types::{Id, Timestamp},
};

/// Interval of comment lines, which keep proxies from closing the stream.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// A QR code to scan: WhatsApp, Linked devices, Link a device.
#[derive(Debug, Serialize, Object)]
pub struct Qr {
    /// The content of the code. It links a device, so treat it as a secret.
    pub qr: String,
    /// When the code expires and a new one replaces it.
    pub expires_at: Timestamp,
    /// The code as a PNG image in a data URL, for an `<img>`.
    pub png_data_url: String,
}

/// The data of an event of the stream.
#[derive(Debug, Serialize, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct QrStreamEvent {
    /// In events named `qr`: the content of the code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qr: Option<String>,
    /// In events named `qr`: when the code expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// In events named `state`: the state of the session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

/// The formats of a QR code.
#[derive(ResponseContent)]
pub enum QrContent {
    /// JSON, with the image in it.
    Json(Body<Qr>),
    /// A PNG image.
    #[oai(content_type = "image/png")]
    Png(Binary<Vec<u8>>),
    /// An SVG image.
    #[oai(content_type = "image/svg+xml")]
    Svg(PlainText<String>),
}

/// The current QR code.
#[derive(ApiResponse)]
pub enum QrAnswer {
    /// The code. The document has only its JSON form.
    #[oai(status = 200)]
    Qr(QrContent),
}

/// The format of a picture.
#[derive(Debug, Clone, Copy, Enum)]
#[oai(rename_all = "snake_case")]
pub enum QrFormat {
    /// PNG.
    Png,
    /// SVG.
    Svg,
}

/// A QR code as a picture.
#[derive(ApiResponse)]
pub enum QrImage {
    /// The picture, with its own `Content-Type`
    #[oai(status = 200)]
    Image(Binary<Vec<u8>>, #[oai(header = "Content-Type")] String),
}

/// The QR code of a session.
pub struct QrCodes;

#[OpenApi(prefix_path = "/v1/sessions", tag = "Group::Sessions")]
impl QrCodes {
    /// Read the QR code of a session that waits to be linked.
    ///
    /// The answer is JSON. `GET /v1/sessions/{id}/qr/image` answers with a picture. So does this operation
    /// if `Accept` requests `image/png` or `image/svg+xml`, for clients that were written before there was the other.
    #[oai(path = "/:id/qr", method = "get", operation_id = "read_qr")]
    async fn read_qr(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The session.
        id: Path<Id<SessionId>>,
        /// `application/json`, `image/png` or `image/svg+xml`.
        accept: Header<Option<String>>,
    ) -> Result<QrAnswer, Problem> {
        let form = Form::of(accept.as_deref()).ok_or_else(|| Problem::new(Code::NotAcceptable))?;
        let qr = current(&services, &caller, id.0.0).await?;
        draw(&qr, form)
            .map(QrAnswer::Qr)
            .map_err(|error| undrawn(&error))
    }

    /// Read the QR code of a session that waits to be linked, as a picture.
    #[oai(path = "/:id/qr/image", method = "get", operation_id = "read_qr_image")]
    async fn read_qr_image(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The session.
        id: Path<Id<SessionId>>,
        /// The format: `png`, which is the default, or `svg`.
        format: Query<Option<QrFormat>>,
    ) -> Result<QrImage, Problem> {
        let qr = current(&services, &caller, id.0.0).await?;
        drawn(&qr.code, format.0)
    }

    /// Follow the QR codes of a session, as server-sent events.
    ///
    /// Events named `qr` carry a new code. Events named `state` carry the state of the session. The stream
    /// ends when the session is linked or stops, after five minutes, and when its key is revoked.
    #[oai(path = "/:id/qr/stream", method = "get", operation_id = "stream_qr")]
    async fn stream_qr(
        &self,
        caller: Caller,
        services: Data<&Services>,
        quotas: Data<&Quotas>,
        stop: Data<&CancellationToken>,
        /// The session.
        id: Path<Id<SessionId>>,
    ) -> Result<EventStream<stream::BoxStream<'static, QrStreamEvent>>, Problem> {
        let live = sessions::watch(&services, caller.0.org, id.0.0)
            .await?
            .ok_or_else(not_found)?;
        let open = quotas.stream(caller.0.org)?;
        let revoked = revoked(services.0.clone(), caller.0);
        let ended = ended(stop.0.clone(), QR_STREAM_MAX, revoked);
        let told = follow(live).take_until(ended).inspect(move |_| {
            // Released when the stream is dropped.
            let _held = &open;
        });
        Ok(EventStream::new(told.boxed())
            .keep_alive(KEEP_ALIVE)
            .to_event(|event| {
                let name = if event.qr.is_some() { "qr" } else { "state" };
                let data = serde_json::to_string(&event).expect("plain fields serialise");
                Event::message(data).event_type(name)
            }))
    }
}

/// Returns the code that a phone can scan now.
async fn current(services: &Services, caller: &Caller, id: SessionId) -> Result<Shown, Problem> {
    let live = sessions::watch(services, caller.0.org, id)
        .await?
        .ok_or_else(not_found)?;
    let live = live.borrow().clone();
    let valid = live.qr.filter(|qr| qr.expires_at > services.clock().now());
    valid.ok_or_else(|| Problem::new(Code::QrNotAvailable).state(live.state.as_str()))
}

/// Returns a text as a picture of its QR code.
pub(super) fn drawn(text: &str, format: Option<QrFormat>) -> Result<QrImage, Problem> {
    let picture = Picture::of(text).map_err(|error| undrawn(&error))?;
    Ok(match format.unwrap_or(QrFormat::Png) {
        QrFormat::Png => {
            let png = picture.png().map_err(|error| undrawn(&error))?;
            QrImage::Image(Binary(png), "image/png".to_owned())
        }
        QrFormat::Svg => {
            let svg = picture.svg().into_bytes();
            QrImage::Image(Binary(svg), "image/svg+xml".to_owned())
        }
    })
}

fn undrawn(error: &anyhow::Error) -> Problem {
    tracing::error!(error = format!("{error:#}"), "a QR code could not be drawn");
    Problem::new(Code::Internal)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Json,
    Png,
    Svg,
}

impl Form {
    /// Returns the first format that the header names; JSON if it names none in particular.
    fn of(accept: Option<&str>) -> Option<Self> {
        let Some(accept) = accept else {
            return Some(Self::Json);
        };
        accept.split(',').find_map(|range| {
            match range
                .split(';')
                .next()
                .unwrap_or_default()
                .trim()
                .to_ascii_lowercase()
                .as_str()
            {
                "application/json" | "application/*" | "*/*" | "" => Some(Self::Json),
                "image/png" | "image/*" => Some(Self::Png),
                "image/svg+xml" => Some(Self::Svg),
                _ => None,
            }
        })
    }
}

fn draw(qr: &Shown, form: Form) -> anyhow::Result<QrContent> {
    let picture = Picture::of(&qr.code)?;
    Ok(match form {
        Form::Json => QrContent::Json(Body(Qr {
            qr: qr.code.clone(),
            expires_at: Timestamp(qr.expires_at),
            png_data_url: picture.png_data_url()?,
        })),
        Form::Png => QrContent::Png(Binary(picture.png()?)),
        Form::Svg => QrContent::Svg(PlainText(picture.svg())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_what_accept_names_first() {
        assert_eq!(Form::of(None), Some(Form::Json));
        assert_eq!(Form::of(Some("*/*")), Some(Form::Json));
        assert_eq!(
            Form::of(Some("image/svg+xml, image/png;q=0.5")),
            Some(Form::Svg)
        );
        assert_eq!(Form::of(Some("image/PNG")), Some(Form::Png));
        assert_eq!(Form::of(Some("text/html")), None);
    }
}
