//! A file that WhatsApp no longer keeps, or keeps with other bytes: its sender's phone may still have it, and
//! is asked once to upload it again.

use passerelle_engine::media::{Remote, is_direct_path};

use super::{incoming::INCOMPLETE, source::NoFile};
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
    let answer = commands::ask(services, stored.org, session, command).await;
    answer.map_or(NoFile::Later, outcome)
}

/// The new path comes from the sender's phone, so it is checked as the first one was.
fn outcome(answer: Answer) -> NoFile {
    match answer {
        Answer::Told(path) if is_direct_path(&path) => NoFile::Moved(path),
        Answer::Told(_) => NoFile::Failed(INCOMPLETE),
        Answer::Done | Answer::Refused => NoFile::Expired,
        Answer::Later(_) | Answer::NotConnected => NoFile::Later,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_file_that_was_uploaded_again_is_checked_as_the_first_one() {
        let told = |path: &str| outcome(Answer::Told(path.to_owned()));
        let path = "/v/t62.7119-24/1_n.enc?ccb=11-4&oh=01_Q5&oe=68&_nc_sid=5e03e0";
        assert_eq!(told(path), NoFile::Moved(path.to_owned()));
        for stranger in [
            "",
            "v/1",
            "@127.0.0.1:80/v/1",
            ".example.org/v/1",
            "https://example.org/v/1",
            "\\\\example.org/v/1",
            "/v/1\r\nhost: example.org",
            "/v\\1",
            "/v/1#x",
            "/v/é",
        ] {
            assert_eq!(told(stranger), NoFile::Failed(INCOMPLETE), "{stranger}");
        }
    }
}
