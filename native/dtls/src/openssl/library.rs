//! OpenSSL's functions, found at run time: the machine's own `libssl.so.3`, which its owner keeps
//! up to date, and nothing is needed to build against it.
//!
//! The types are those of `openssl/ssl.h`, `bio.h` and `x509.h` of OpenSSL 3, which promises them
//! for all of its 3.x.

use std::ffi::{c_char, c_int, c_long, c_uchar, c_uint, c_ulong, c_void, CStr};
use std::sync::OnceLock;

use crate::loading::{library, open, Opaque, Trouble};

pub(crate) type Write = unsafe extern "C" fn(Opaque, *const c_char, c_int) -> c_int;
pub(crate) type Read = unsafe extern "C" fn(Opaque, *mut c_char, c_int) -> c_int;
pub(crate) type Control = unsafe extern "C" fn(Opaque, c_int, c_long, *mut c_void) -> c_long;
pub(crate) type VerifyCookie = unsafe extern "C" fn(Opaque, *const c_uchar, c_uint) -> c_int;
pub(crate) type GenerateCookie = unsafe extern "C" fn(Opaque, *mut c_uchar, *mut c_uint) -> c_int;
pub(crate) type SelectProtocol = unsafe extern "C" fn(
    Opaque,
    *mut *const c_uchar,
    *mut c_uchar,
    *const c_uchar,
    c_uint,
    *mut c_void,
) -> c_int;

library! {
    DTLS_server_method: fn() -> Opaque;
    DTLS_client_method: fn() -> Opaque;
    SSL_CTX_new: fn(Opaque) -> Opaque;
    SSL_CTX_free: fn(Opaque);
    SSL_CTX_ctrl: fn(Opaque, c_int, c_long, Opaque) -> c_long;
    SSL_CTX_set_options: fn(Opaque, u64) -> u64;
    SSL_CTX_set_cipher_list: fn(Opaque, *const c_char) -> c_int;
    SSL_CTX_use_certificate: fn(Opaque, Opaque) -> c_int;
    SSL_CTX_use_PrivateKey: fn(Opaque, Opaque) -> c_int;
    SSL_CTX_check_private_key: fn(Opaque) -> c_int;
    SSL_CTX_get_cert_store: fn(Opaque) -> Opaque;
    SSL_CTX_add_client_CA: fn(Opaque, Opaque) -> c_int;
    SSL_CTX_set_verify: fn(Opaque, c_int, Opaque);
    X509_STORE_add_cert: fn(Opaque, Opaque) -> c_int;
    SSL_CTX_set_alpn_select_cb: fn(Opaque, SelectProtocol, Opaque);
    SSL_CTX_set_cookie_generate_cb: fn(Opaque, GenerateCookie);
    SSL_CTX_set_cookie_verify_cb: fn(Opaque, VerifyCookie);
    SSL_new: fn(Opaque) -> Opaque;
    SSL_free: fn(Opaque);
    SSL_ctrl: fn(Opaque, c_int, c_long, Opaque) -> c_long;
    SSL_set_bio: fn(Opaque, Opaque, Opaque);
    SSL_set_connect_state: fn(Opaque);
    SSL_set_alpn_protos: fn(Opaque, *const c_uchar, c_uint) -> c_int;
    SSL_get0_alpn_selected: fn(Opaque, *mut *const c_uchar, *mut c_uint);
    SSL_is_init_finished: fn(Opaque) -> c_int;
    SSL_read: fn(Opaque, *mut c_void, c_int) -> c_int;
    SSL_write: fn(Opaque, *const c_void, c_int) -> c_int;
    SSL_get_error: fn(Opaque, c_int) -> c_int;
    SSL_shutdown: fn(Opaque) -> c_int;
    DTLSv1_listen: fn(Opaque, Opaque) -> c_int;
    BIO_meth_new: fn(c_int, *const c_char) -> Opaque;
    BIO_meth_set_write: fn(Opaque, Write) -> c_int;
    BIO_meth_set_read: fn(Opaque, Read) -> c_int;
    BIO_meth_set_ctrl: fn(Opaque, Control) -> c_int;
    BIO_get_new_index: fn() -> c_int;
    BIO_new: fn(Opaque) -> Opaque;
    BIO_set_init: fn(Opaque, c_int);
    BIO_set_data: fn(Opaque, Opaque);
    BIO_get_data: fn(Opaque) -> Opaque;
    BIO_set_flags: fn(Opaque, c_int);
    BIO_clear_flags: fn(Opaque, c_int);
    BIO_ADDR_new: fn() -> Opaque;
    BIO_ADDR_free: fn(Opaque);
    d2i_X509: fn(Opaque, *mut *const c_uchar, c_long) -> Opaque;
    X509_free: fn(Opaque);
    d2i_AutoPrivateKey: fn(Opaque, *mut *const c_uchar, c_long) -> Opaque;
    EVP_PKEY_free: fn(Opaque);
    EVP_PKEY_get_id: fn(Opaque) -> c_int;
    EVP_sha256: fn() -> Opaque;
    HMAC: fn(Opaque, *const c_void, c_int, *const c_uchar, usize, *mut c_uchar, *mut c_uint) -> Opaque;
    RAND_bytes: fn(*mut c_uchar, c_int) -> c_int;
    ERR_clear_error: fn();
    ERR_get_error: fn() -> c_ulong;
    ERR_reason_error_string: fn(c_ulong) -> *const c_char;
}

const FILE: &CStr = c"libssl.so.3";

impl Library {
    /// The library of this process; loaded once.
    pub(crate) fn get() -> Result<&'static Self, Trouble> {
        static LIBRARY: OnceLock<Result<Library, Trouble>> = OnceLock::new();
        LIBRARY
            .get_or_init(Self::load)
            .as_ref()
            .map_err(Clone::clone)
    }

    fn load() -> Result<Self, Trouble> {
        let handle = open(FILE).ok_or(Trouble(
            "DTLS needs OpenSSL 3 (libssl.so.3), which this machine lacks; \
             on Debian: apt-get install libssl3"
                .into(),
        ))?;
        Self::find(handle)
    }

    /// What OpenSSL says about the last failure of this thread.
    pub(crate) fn reason(&self) -> String {
        // SAFETY: both take and return plain values; the text is static and ends with a zero.
        unsafe {
            let text = (self.ERR_reason_error_string)((self.ERR_get_error)());
            if text.is_null() {
                "no reason given".into()
            } else {
                CStr::from_ptr(text).to_string_lossy().into_owned()
            }
        }
    }

    /// HMAC-SHA-256 of a text.
    pub(crate) fn hmac(&self, key: &[u8; 32], text: &[u8]) -> Option<[u8; 32]> {
        let (mut digest, mut length) = ([0; 32], 0);
        // SAFETY: key and text are read for the lengths given, the digest of SHA-256 has 32 bytes.
        let made = unsafe {
            (self.HMAC)(
                (self.EVP_sha256)(),
                key.as_ptr().cast(),
                key.len() as c_int,
                text.as_ptr(),
                text.len(),
                digest.as_mut_ptr(),
                &raw mut length,
            )
        };
        (!made.is_null() && length == 32).then_some(digest)
    }

    /// 32 bytes that nobody can guess.
    pub(crate) fn random(&self) -> Option<[u8; 32]> {
        let mut octets = [0; 32];
        // SAFETY: as many bytes are written as the array has.
        let status = unsafe { (self.RAND_bytes)(octets.as_mut_ptr(), octets.len() as c_int) };
        (status == 1).then_some(octets)
    }
}
