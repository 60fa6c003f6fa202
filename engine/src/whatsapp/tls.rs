//! TLS for the socket and for media. It uses the system's root certificates; a sandbox uses none.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls_platform_verifier::BuilderVerifierExt as _;

use super::address::ServerAddress;

/// Returns the TLS configuration for `address`. The process's rustls provider must be installed.
pub(super) fn client_config(address: &ServerAddress) -> anyhow::Result<ClientConfig> {
    #[cfg(feature = "sandbox")]
    if address.is_sandbox() {
        return sandbox::client_config(provider());
    }
    debug_assert!(
        !address.is_sandbox(),
        "only a sandbox build has such an address"
    );
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_platform_verifier()?;
    Ok(config.with_no_client_auth())
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The sandbox's server makes its certificates at start, so they cannot be checked. Instead, every
/// name except loopback is refused, so that a sandbox can reach nothing real.
#[cfg(feature = "sandbox")]
mod sandbox {
    use std::sync::Arc;

    use rustls::{
        ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
        client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        crypto::CryptoProvider,
        pki_types::{CertificateDer, ServerName, UnixTime},
    };

    pub(super) fn client_config(provider: Arc<CryptoProvider>) -> anyhow::Result<ClientConfig> {
        let loopback = Arc::new(Loopback(provider.clone()));
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(loopback)
            .with_no_client_auth();
        Ok(config)
    }

    #[derive(Debug)]
    struct Loopback(Arc<CryptoProvider>);

    impl ServerCertVerifier for Loopback {
        fn verify_server_cert(
            &self,
            _end_entity: &CertificateDer<'_>,
            _intermediates: &[CertificateDer<'_>],
            server_name: &ServerName<'_>,
            _ocsp_response: &[u8],
            _now: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            let here = match server_name {
                ServerName::IpAddress(ip) => std::net::IpAddr::from(*ip).is_loopback(),
                ServerName::DnsName(name) => name.as_ref() == "localhost",
                _ => false,
            };
            if here {
                return Ok(ServerCertVerified::assertion());
            }
            Err(Error::General("a sandbox reaches loopback only".into()))
        }

        fn verify_tls12_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            let algorithms = &self.0.signature_verification_algorithms;
            rustls::crypto::verify_tls12_signature(message, cert, signed, algorithms)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            let algorithms = &self.0.signature_verification_algorithms;
            rustls::crypto::verify_tls13_signature(message, cert, signed, algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.0.signature_verification_algorithms.supported_schemes()
        }
    }
}
