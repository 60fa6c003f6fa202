//! Why TLS to a server of ours failed: its certificate does not fit, or it does not speak TLS.

use std::{error::Error, io, sync::Arc};

use rustls::{CertificateError, Error as TlsError};

/// Returns the reason in words if the error, or a cause of it, is a failure of TLS. Returns `None`
/// if the server was not reached: then trying again may help.
pub fn refusal(error: &(dyn Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(tls) = as_tls(error) {
            return Some(words(tls));
        }
        next = error.source();
    }
    None
}

/// Finds TLS's error inside of others. Not all of them name what they wrap as their source.
fn as_tls<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e TlsError> {
    if let Some(shared) = error.downcast_ref::<Arc<dyn Error + Send + Sync>>() {
        return as_tls(&**shared);
    }
    let inside = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref);
    match inside {
        Some(inside) => inside.downcast_ref(),
        None => error.downcast_ref(),
    }
}

fn words(error: &TlsError) -> String {
    use CertificateError as Bad;
    match error {
        TlsError::InvalidCertificate(Bad::Expired | Bad::ExpiredContext { .. }) => {
            "the server's certificate has expired".to_owned()
        }
        TlsError::InvalidCertificate(Bad::NotValidYet | Bad::NotValidYetContext { .. }) => {
            "the server's certificate is not valid yet".to_owned()
        }
        TlsError::InvalidCertificate(Bad::NotValidForName | Bad::NotValidForNameContext { .. }) => {
            "the server's certificate is for another name than the one in the address".to_owned()
        }
        // An authority of the same name, with another key, leads to the second one.
        TlsError::InvalidCertificate(Bad::UnknownIssuer | Bad::BadSignature) => {
            "the server's certificate is from an authority that is not known here".to_owned()
        }
        TlsError::InvalidCertificate(_) => {
            format!("the server's certificate is not accepted ({error})")
        }
        _ => format!("the server does not speak TLS as it should ({error})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_found_however_it_is_wrapped() {
        let expired = || TlsError::InvalidCertificate(CertificateError::Expired);
        let io = || io::Error::new(io::ErrorKind::InvalidData, expired());
        let shared: Arc<dyn Error + Send + Sync> = Arc::new(io());
        let database = sqlx::Error::Io(io());
        for error in [
            &expired() as &(dyn Error + 'static),
            &io(),
            &shared,
            &database,
        ] {
            let told = refusal(error).unwrap();
            assert!(told.contains("has expired"), "{told}");
        }
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(refusal(&sqlx::Error::Io(refused)), None);
    }
}
