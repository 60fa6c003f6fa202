//! A file that WhatsApp no longer keeps: its sender's phone may still have it, and is asked once to
//! upload it again.

use passerelle_engine::media::Remote;

use super::source::NoFile;
use crate::{
    messages,
    model::{UNREADABLE, report_unreadable},
    services::Services,
    sessions::{
        commands::{self, Answer, Command},
        read_receipts,
    },
    store::media::Stored,
};

/// Asks the sender's phone, through the session's host. Returns the new path, or why there is none.
pub(super) async fn ask(services: &Services, stored: &Stored, remote: &Remote) -> NoFile {
    let (Some(session), Some(message)) = (stored.session, stored.message) else {
        return NoFile::Expired;
    };
    let message = match messages::read(services, stored.org, message).await {
        Ok(Some(message)) => message,
        Ok(None) => return NoFile::Expired,
        // Without the message, its sender cannot be asked.
        Err(fault) if fault.is_permanent() => {
            report_unreadable("message", &message, &fault);
            return NoFile::Failed(UNREADABLE);
        }
        Err(_) => return NoFile::Later,
    };
    let Some(message) = read_receipts::named(&message) else {
        return NoFile::Expired;
    };
    let command = Command::PutUpAgain {
        message,
        key: remote.file.key.clone(),
    };
    match commands::ask(services, stored.org, session, command).await {
        Ok(Answer::Told(path)) => NoFile::Moved(path),
        Ok(Answer::Done | Answer::Refused) => NoFile::Expired,
        Ok(Answer::Later(_) | Answer::NotConnected) | Err(_) => NoFile::Later,
    }
}
