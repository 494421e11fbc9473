//! DTLS 1.2 (RFC 6347) by OpenSSL, as it is installed on the machine.

mod association;
mod bio;
mod context;
mod library;

pub(crate) use association::Association;
pub(crate) use context::Context;
pub(crate) use library::Library;
