//! TLS of a server, from the files that its flags name. Read once, at start.

use std::path::Path;

use tonic::transport::{Certificate, Identity, ServerTlsConfig};

use crate::Flags;
use crate::server::Error;

/// The configuration, or `None` where the flags name no certificate.
pub(crate) fn config(flags: &Flags) -> Result<Option<ServerTlsConfig>, Error> {
    let (Some(cert), Some(key)) = (&flags.tls_cert, &flags.tls_key) else { return Ok(None) };
    let config = ServerTlsConfig::new().identity(Identity::from_pem(read(cert)?, read(key)?));
    let Some(client_ca) = &flags.tls_client_ca else { return Ok(Some(config)) };
    Ok(Some(config.client_ca_root(Certificate::from_pem(read(client_ca)?))))
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })
}
