//! The lines that `serve`, `sandbox` and `demo` print after their start, to paste into a shell.
//!
//! The lines of `serve` read the operator's key from a variable, because its output is often stored as a log.

use std::{io::Write as _, net::SocketAddr};

const JSON: &str = "-H 'Content-Type: application/json'";
const QR: &str = "curl -sf --retry 20 --retry-delay 1 --retry-all-errors $API/v1/sessions/$SES/qr";

/// Returns the URL by which this machine reaches a gateway that listens on `listen`.
pub(crate) fn local_url(mut listen: SocketAddr) -> String {
    if listen.ip().is_unspecified() {
        listen.set_ip([127, 0, 0, 1].into());
    }
    format!("http://{listen}")
}

/// Returns the steps after `serve`: an organisation, its key, a session and its QR code as a picture.
pub(crate) fn serve(api: &str) -> String {
    let linking = linking(api, "$PASSERELLE_ADMIN_KEY");
    steps(&format!(
        "# PASSERELLE_ADMIN_KEY is the operator's key: the one you set, or the one shown at the first start.\n\
         {linking}\
         {QR}/image -H \"Authorization: Bearer $KEY\" -o qr.png\n\
         # Scan qr.png with the phone: WhatsApp, Linked devices, Link a device. All operations: {api}/docs\n"
    ))
}

/// Returns the steps after `sandbox`: as after `serve`, with a simulated phone that scans the QR code.
#[cfg(feature = "sandbox")]
pub(crate) fn sandbox(api: &str, admin: Option<&str>, control: &str) -> String {
    let linking = linking(api, admin.unwrap_or("$PASSERELLE_ADMIN_KEY"));
    let sending = sending("$SES", "+491510000002");
    steps(&format!(
        "{linking}\
         CONTROL={control}\n\
         QR=$({QR} -H \"Authorization: Bearer $KEY\" | grep -o '2@[^\"]*')\n\
         curl -s $CONTROL/phones/+491510000001/scan {JSON} -d \"{{\\\"qr\\\":\\\"$QR\\\"}}\"\n\
         curl -s $CONTROL/phones {JSON} -d '{{\"phone\":\"+491510000002\",\"echo\":true}}'\n\
         {sending}\
         # All operations: {api}/docs\n"
    ))
}

/// Returns the steps after the demo: another text, the messages, and the session.
#[cfg(feature = "sandbox")]
pub(crate) fn demo(api: &str, key: &str, session: &str, to: &str) -> String {
    let sending = sending(session, to);
    steps(&format!(
        "API={api}\n\
         KEY={key}\n\
         {sending}\
         curl -s \"$API/v1/messages?limit=3\" -H \"Authorization: Bearer $KEY\"\n\
         curl -s $API/v1/sessions/{session} -H \"Authorization: Bearer $KEY\"\n"
    ))
}

/// Returns the lines from the operator's key to a session that waits to be linked.
fn linking(api: &str, admin: &str) -> String {
    let create = |variable: &str, path: &str, key: &str, name: &str, answer: &str| {
        format!(
            "{variable}=$(curl -s $API/v1/{path} -H \"Authorization: Bearer ${key}\" {JSON} \
             -d '{{\"name\":\"{name}\"}}' | grep -o '{answer}_[0-9A-Za-z]*' | head -1)\n"
        )
    };
    let organisation = create("ORG", "organisations", "ADMIN", "Acme", "org");
    let key = create("KEY", "organisations/$ORG/api-keys", "ADMIN", "shop", "psl");
    let session = create("SES", "sessions", "KEY", "support", "ses");
    format!(
        "API={api}\nADMIN={admin}\n{organisation}{key}{session}\
         curl -s -X POST $API/v1/sessions/$SES/connect -H \"Authorization: Bearer $KEY\"\n"
    )
}

#[cfg(feature = "sandbox")]
fn sending(session: &str, to: &str) -> String {
    let text = r#"\"type\":\"text\",\"text\":{\"body\":\"Hello\"}"#;
    format!(
        "curl -s $API/v1/messages -H \"Authorization: Bearer $KEY\" {JSON} \
         -d \"{{\\\"session_id\\\":\\\"{session}\\\",\\\"to\\\":\\\"{to}\\\",{text}}}\"\n"
    )
}

fn steps(lines: &str) -> String {
    let lines: Vec<_> = lines.lines().map(|line| format!("  {line}\n")).collect();
    format!("\nNext steps, to paste into a shell:\n\n{}", lines.concat())
}

/// Prints steps on standard error, beside the log. If it is closed or full, the gateway runs without them.
pub(crate) fn print(steps: &str) {
    if let Err(error) = writeln!(std::io::stderr().lock(), "{steps}") {
        tracing::debug!(%error, "the next steps were not printed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_means_every_interface_is_reached_on_loopback() {
        for (listen, url) in [
            ("0.0.0.0:8080", "http://127.0.0.1:8080"),
            ("[::]:8080", "http://127.0.0.1:8080"),
            ("192.0.2.1:80", "http://192.0.2.1:80"),
        ] {
            assert_eq!(local_url(listen.parse().unwrap()), url);
        }
    }
}
