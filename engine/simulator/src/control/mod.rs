//! The control API, which tests and demos use to control the simulator. `CONTROL.md` documents each
//! call.

mod call;
mod groups;
mod look;
mod media;
mod phone_calls;
mod phones;
mod say;
mod steer;

use poem::error::ResponseError;
use poem::{EndpointExt, Route, delete, get, post, put};

use self::call::{Refusal, refuse};

/// Returns the routes of all calls.
pub(crate) fn routes() -> impl poem::Endpoint {
    Route::new()
        .at("/phones", post(phones::put_phone))
        .at("/phones/:phone", get(phones::get_phone))
        .at("/phones/:phone/scan", post(phones::scan))
        .at("/phones/:phone/enter-code", post(phones::enter_code))
        .at("/phones/:phone/say", post(say::say))
        .at("/phones/:phone/read", post(say::read))
        .at("/phones/:phone/played", post(say::played))
        .at("/phones/:phone/chat", get(say::chat))
        .at("/phones/:phone/unlink", post(phones::unlink))
        .at("/phones/:phone/call", post(phone_calls::ring))
        .at("/phones/:phone/calls/:id", post(phone_calls::step))
        .at("/groups", post(groups::create))
        .at("/groups/:group", get(groups::show))
        .at("/groups/:group/members", post(groups::change))
        .at("/groups/:group/settings", post(groups::set))
        .at("/media", post(media::change))
        .at("/ledger", get(look::ledger))
        .at(
            "/faults",
            post(steer::add_fault).delete(steer::clear_faults),
        )
        .at("/faults/:id", delete(steer::remove_fault))
        .at("/kick", post(steer::kick))
        .at("/timelock/:phone", put(steer::set_timelock))
        .at("/capping/:phone", put(steer::set_capping))
        .at("/stats", get(look::stats))
        .at("/cert", get(look::certificate))
        .at("/root", get(look::root))
        .catch_all_error(|error: poem::Error| async move {
            let reason = error.to_string();
            match error.downcast_ref::<Refusal>() {
                Some(refusal) => refusal.as_response(),
                None => refuse(error.status(), &reason),
            }
        })
}
