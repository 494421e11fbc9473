//! DTLS 1.3 (RFC 9147) by NSS, Mozilla's library, as it is installed on the machine. It alone speaks
//! the server's side so that nothing is kept before the cookie of its HelloRetryRequest.

mod association;
mod descriptor;
mod library;
mod model;

pub(crate) use association::Association;
pub(crate) use model::Model;

/// What a cookie says, so that nobody else can use it or keep it for long; NSS encrypts it.
pub(crate) type Token = [u8; 16];
