//! A client that speaks TLS by itself, to say what ours never would.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, DigitallySignedStruct, Error, ServerConfig, SignatureScheme};
use stead_core::id::{ClusterId, NodeId};
use stead_log::transport::Identity;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// A key with a certificate over it, both in DER.
pub struct Papers {
    pub certificate: Vec<u8>,
    pub key: Vec<u8>,
}

impl Papers {
    /// This one's certificate, and a key that is not in it.
    pub fn stolen(&self) -> Self {
        let key = Self::dated(2000, 2100).key;
        Self { certificate: self.certificate.clone(), key }
    }

    /// Without looking whether the two belong together.
    fn certified(&self) -> Arc<SingleCertAndKey> {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.clone()));
        let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap();
        let chain = vec![CertificateDer::from(self.certificate.clone())];
        Arc::new(SingleCertAndKey::from(CertifiedKey::new(chain, key)))
    }

    /// Valid from one year to another, in the wall clock's time.
    pub fn dated(from: i32, to: i32) -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(vec!["wrong.example".into()]).unwrap();
        parameters.not_before = rcgen::date_time_ymd(from, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(to, 1, 1);
        let certificate = parameters.self_signed(&key).unwrap();
        Self { certificate: certificate.der().to_vec(), key: key.serialize_der() }
    }

    pub fn identity(&self) -> Identity {
        Identity::with_certificate(self.certificate.clone(), self.key.clone()).unwrap()
    }
}

#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Connects with these papers, or with none.
pub async fn connect(
    address: SocketAddr,
    papers: Option<&Papers>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone));
    let config = match papers {
        Some(papers) => builder.with_client_cert_resolver(papers.certified()),
        None => builder.with_no_client_auth(),
    };
    let tcp = TcpStream::connect(address).await?;
    let name = ServerName::IpAddress(address.ip().into());
    TlsConnector::from(Arc::new(config)).connect(name, tcp).await
}

/// The hello in its unchanging form; `purpose` is 0 with a lane, or 1 for joining.
pub fn hello(versions: (u16, u16), cluster: ClusterId, node: NodeId, purpose: &[u8]) -> Vec<u8> {
    let mut bytes = b"stead\r\n\x01".to_vec();
    bytes = postcard::to_extend(&(versions, cluster, node), bytes).unwrap();
    bytes.extend_from_slice(purpose);
    postcard::to_extend("raw client", bytes).unwrap()
}

pub async fn try_send(stream: &mut TlsStream<TcpStream>, bytes: &[u8]) -> std::io::Result<()> {
    stream.write_u32(u32::try_from(bytes.len()).unwrap()).await?;
    stream.write_all(bytes).await?;
    stream.flush().await
}

pub async fn send(stream: &mut TlsStream<TcpStream>, bytes: &[u8]) {
    try_send(stream, bytes).await.unwrap();
}

pub async fn receive(stream: &mut TlsStream<TcpStream>) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; stream.read_u32().await? as usize];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

/// Waits until the other side has closed the connection; what still comes is thrown away.
pub async fn closed(stream: &mut TlsStream<TcpStream>) {
    let mut buffer = [0; 4096];
    while let Ok(1..) = stream.read(&mut buffer).await {}
}

/// Accepts with these papers until the test ends.
pub async fn serve(papers: &Papers) -> SocketAddr {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(papers.certified());
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            // The other side is expected to end it.
            drop(acceptor.accept(tcp).await);
        }
    });
    address
}
