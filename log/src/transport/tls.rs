//! TLS 1.3 with both sides' keys, and nothing of the public key infrastructure.
//!
//! A certificate is only the envelope of a key here: names, dates, issuers and extensions are not
//! looked at, so neither an expired certificate nor a wrong clock can cut a cluster. What is looked
//! at: the peer proves by its signature over the handshake that it has the key, and that key is the
//! expected one. Sessions are never resumed, because a resumed session skips both.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::SingleCertAndKey;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error,
    PeerMisbehaved, ServerConfig, SignatureScheme,
};
use thiserror::Error as ThisError;
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::identity::{Identity, KeyHash};

/// The stream of the side that accepted.
pub type ServerStream = tokio_rustls::server::TlsStream<TcpStream>;
/// The stream of the side that connected.
pub type ClientStream = tokio_rustls::client::TlsStream<TcpStream>;

/// One side of every handshake, with its key.
#[derive(Clone)]
pub struct Tls {
    provider: Arc<CryptoProvider>,
    own: Arc<SingleCertAndKey>,
    server: Arc<ServerConfig>,
}

/// There is no connection. Nothing was said on it.
#[derive(Debug, ThisError)]
pub enum HandshakeError {
    /// The other holds another key than the expected one.
    #[error("it holds the key {0}, not the expected one")]
    WrongKey(KeyHash),
    /// The handshake itself failed.
    #[error("no TLS handshake: {0}")]
    Tls(String),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Io(io::Error),
}

impl Tls {
    /// A side that holds that key.
    ///
    /// # Errors
    /// The key can't be used for TLS.
    pub fn new(identity: &Identity) -> Result<Self, Error> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let own = Arc::new(SingleCertAndKey::from(identity.certified.clone()));
        let mut server = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(Arc::new(AnyKey(provider.clone())))
            .with_cert_resolver(own.clone());
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        Ok(Self { provider, own, server: Arc::new(server) })
    }

    /// Accepts whoever proves to hold a key, and says which. Has no deadline of its own.
    ///
    /// # Errors
    /// What failed in the handshake.
    pub async fn accept(&self, tcp: TcpStream) -> io::Result<(ServerStream, KeyHash)> {
        let stream = TlsAcceptor::from(self.server.clone()).accept(tcp).await?;
        let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let key = certificates.first().and_then(|der| KeyHash::of_certificate(der));
        // The handshake does not succeed without a certificate.
        let none = || io::Error::new(io::ErrorKind::InvalidData, "no key");
        Ok((stream, key.ok_or_else(none)?))
    }

    /// Makes sure that the other end, at that address, holds exactly the key `expected`. Has no
    /// deadline of its own.
    ///
    /// # Errors
    /// See [`HandshakeError`].
    pub async fn connect(
        &self,
        tcp: TcpStream,
        address: IpAddr,
        expected: KeyHash,
    ) -> Result<ClientStream, HandshakeError> {
        let tls = |error: Error| HandshakeError::Tls(error.to_string());
        let (config, found) = self.client(expected).map_err(tls)?;
        // Names mean nothing here, and none is sent.
        let name = ServerName::IpAddress(address.into());
        let handshake = TlsConnector::from(config).connect(name, tcp).await;
        handshake.map_err(|error| match (found.get(), error.kind()) {
            (Some(found), _) => HandshakeError::WrongKey(found),
            (None, io::ErrorKind::InvalidData) => HandshakeError::Tls(error.to_string()),
            (None, _) => HandshakeError::Io(error),
        })
    }

    /// For one connection to the holder of `expected`. What key was found there instead is left in
    /// the second value.
    fn client(&self, expected: KeyHash) -> Result<(Arc<ClientConfig>, Found), Error> {
        let found = Found::default();
        let verifier = OneKey { expected, found: found.clone(), provider: self.provider.clone() };
        let mut client = ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_cert_resolver(self.own.clone());
        client.resumption = Resumption::disabled();
        client.enable_sni = false;
        Ok((Arc::new(client), found))
    }
}

/// The key that was not the expected one.
#[derive(Clone, Debug, Default)]
struct Found(Arc<Mutex<Option<KeyHash>>>);

impl Found {
    fn get(&self) -> Option<KeyHash> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn hash(certificate: &CertificateDer<'_>) -> Result<KeyHash, Error> {
    KeyHash::of_certificate(certificate).ok_or(CertificateError::BadEncoding.into())
}

fn schemes(provider: &CryptoProvider) -> Vec<SignatureScheme> {
    provider.signature_verification_algorithms.supported_schemes()
}

/// Never reached: only TLS 1.3 is spoken.
fn no_tls12() -> Error {
    PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into()
}

/// The connecting side: the other must hold exactly this key.
#[derive(Debug)]
struct OneKey {
    expected: KeyHash,
    found: Found,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for OneKey {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let found = hash(certificate)?;
        if found == self.expected {
            return Ok(ServerCertVerified::assertion());
        }
        *self.found.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        schemes(&self.provider)
    }
}

/// The accepting side: the other must prove that it holds *a* key. Whose it is, and what it may ask
/// for, is decided after its hello, where a refusal can be given a reason.
#[derive(Debug)]
struct AnyKey(Arc<CryptoProvider>);

impl ClientCertVerifier for AnyKey {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        hash(certificate).map(|_| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        schemes(&self.0)
    }
}
