//! Mutual TLS between ranks: each shows a certificate of the group's own authority.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
};

use crate::Error;

/// What a rank shows, and what it asks of others.
#[derive(Debug, Clone)]
pub struct Tls {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
    name: ServerName<'static>,
}

impl Tls {
    /// From PEM: this rank's certificates and key, and the authority that must have signed all
    /// ranks' certificates. `name` stands in all of them (as a DNS name), wherever a rank runs.
    pub fn new(
        certificates: &[u8],
        key: &[u8],
        authority: &[u8],
        name: &str,
    ) -> Result<Self, Error> {
        let certificates = read_certificates(certificates, "the ranks' certificate")?;
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|error| wrong(format!("the key is no PEM key: {error}")))?;
        let mut roots = RootCertStore::empty();
        for certificate in read_certificates(authority, "the authority")? {
            roots.add(certificate).map_err(refused("the authority"))?;
        }
        let roots = Arc::new(roots);
        let provider = Arc::new(default_provider());
        let versions = &[&rustls::version::TLS13];
        let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .map_err(refused("version 1.3"))?
            .with_root_certificates(Arc::clone(&roots))
            .with_client_auth_cert(certificates.clone(), key.clone_key())
            .map_err(refused("certificate and key"))?;
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider))
            .build()
            .map_err(|error| wrong(format!("the authority cannot verify: {error}")))?;
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .map_err(refused("version 1.3"))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(certificates, key)
            .map_err(refused("certificate and key"))?;
        // The connecting end never reads again: bytes left unread would turn its closing into a
        // reset, which may take along the last frames that it sent.
        server.send_tls13_tickets = 0;
        let name = ServerName::try_from(name.to_owned())
            .map_err(|_| wrong(format!("`{name}` is no DNS name")))?;
        Ok(Self { client: Arc::new(client), server: Arc::new(server), name })
    }

    /// The connecting end of a connection.
    pub(super) fn connected<S: Read + Write>(
        &self,
        socket: S,
    ) -> Result<impl Read + Write + use<S>, Error> {
        let connection = ClientConnection::new(Arc::clone(&self.client), self.name.clone())
            .map_err(refused("connecting"))?;
        Ok(StreamOwned::new(connection, socket))
    }

    /// The listening end of a connection.
    pub(super) fn accepted(&self, socket: TcpStream) -> Result<impl Read + Write + use<>, Error> {
        let connection =
            ServerConnection::new(Arc::clone(&self.server)).map_err(refused("accepting"))?;
        Ok(StreamOwned::new(connection, socket))
    }
}

fn read_certificates(pem: &[u8], what: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(wrong(format!("{what} is no PEM certificate"))),
        Err(error) => Err(wrong(format!("{what} is no PEM certificate: {error}"))),
    }
}

fn wrong(reason: String) -> Error {
    Error::Tls { reason, source: None }
}

fn refused(what: &'static str) -> impl Fn(rustls::Error) -> Error {
    move |source| Error::Tls { reason: format!("{what} cannot be used"), source: Some(source) }
}
