//! What all associations of a server share: certificate, key, ciphers, protocols (`SSL_CTX`).

use std::ffi::{c_int, c_long, c_uchar, c_uint, c_void, CString};
use std::ptr;

use crate::endpoint::{Credentials, PROTOCOLS};
use crate::loading::{Opaque, Trouble};
use crate::openssl::Library;

const DTLS_1_2: c_long = 0xFEFD;
const SET_MIN_VERSION: c_int = 123;
const SET_MAX_VERSION: c_int = 124;
const SET_SESSION_CACHE: c_int = 44;
const CHAIN_CERTIFICATE: c_int = 89;
const MODE: c_int = 33;
const RELEASE_BUFFERS: c_long = 0x10;
/// OpenSSL makes room for a handshake message as soon as its first fragment tells a length.
const SET_MAX_CERT_LIST: c_int = 51;
const LONGEST_CHAIN: c_long = 16 << 10;

const NO_QUERY_MTU: u64 = 1 << 12;
const NO_TICKET: u64 = 1 << 14;
const SERVER_PREFERENCE: u64 = 1 << 22;
const NO_RENEGOTIATION: u64 = 1 << 30;

/// EVP_PKEY_ED25519 and EVP_PKEY_ED448, which OpenSSL signs with in TLS, and not in DTLS.
const EDWARDS: [c_int; 2] = [1087, 1088];

/// A certificate is asked for, and who has none is refused.
const VERIFY: c_int = 0x01 | 0x02;
const SET_GROUPS_LIST: c_int = 92;

/// The suites that are spoken, by IANA's number: forward secrecy and AEAD only (RFC 9325 §4.2).
const SUITES: [(u16, &str); 6] = [
    (0xC02C, "ECDHE-ECDSA-AES256-GCM-SHA384"),
    (0xC030, "ECDHE-RSA-AES256-GCM-SHA384"),
    (0xC02B, "ECDHE-ECDSA-AES128-GCM-SHA256"),
    (0xC02F, "ECDHE-RSA-AES128-GCM-SHA256"),
    (0xCCA9, "ECDHE-ECDSA-CHACHA20-POLY1305"),
    (0xCCA8, "ECDHE-RSA-CHACHA20-POLY1305"),
];
/// The groups that keys are exchanged in, by IANA's number.
const GROUPS: [(u16, &str); 3] = [(0x001D, "X25519"), (0x0017, "P-256"), (0x0018, "P-384")];

/// What all associations of one server (or, in tests, one client) share.
pub(crate) struct Context {
    pub(crate) library: &'static Library,
    pub(crate) pointer: Opaque,
}

// SAFETY: an `SSL_CTX` counts its references atomically and locks what it shares; it is changed
// only before anyone else can have it.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: made by `SSL_CTX_new` and freed once; associations hold references of their own.
        unsafe { (self.library.SSL_CTX_free)(self.pointer) };
    }
}

impl Context {
    /// A server's: no session tickets, no renegotiation.
    pub(crate) fn server(credentials: &Credentials<'_>) -> Result<Self, Trouble> {
        let library = Library::get()?;
        // SAFETY: a plain call.
        let context = Self::new(library, unsafe { (library.DTLS_server_method)() })?;
        context.set_suites(credentials.cipher_suites)?;
        context.set_groups(credentials.groups)?;
        context.use_chain(credentials.chain)?;
        context.use_key(credentials.key)?;
        context.ask_clients(credentials.client_roots)?;
        // SAFETY: the context is alive; the callbacks are of the types that OpenSSL calls.
        unsafe {
            (library.SSL_CTX_set_alpn_select_cb)(context.pointer, select, ptr::null_mut());
            (library.SSL_CTX_set_cookie_generate_cb)(context.pointer, generate_cookie);
            (library.SSL_CTX_set_cookie_verify_cb)(context.pointer, verify_cookie);
        }
        Ok(context)
    }

    /// A client's that trusts everyone: for tests and for measuring.
    pub(crate) fn trusting_client() -> Result<Self, Trouble> {
        let library = Library::get()?;
        // SAFETY: a plain call.
        Self::new(library, unsafe { (library.DTLS_client_method)() })
    }

    fn new(library: &'static Library, method: Opaque) -> Result<Self, Trouble> {
        // SAFETY: the method is one of OpenSSL's own.
        let pointer = unsafe { (library.SSL_CTX_new)(method) };
        if pointer.is_null() {
            return Err(Trouble(format!("no DTLS: {}", library.reason())));
        }
        let context = Context { library, pointer };
        let options = NO_QUERY_MTU | NO_TICKET | SERVER_PREFERENCE | NO_RENEGOTIATION;
        // SAFETY: the context is alive and nobody else's yet.
        unsafe { (library.SSL_CTX_set_options)(pointer, options) };
        context.control(SET_MIN_VERSION, DTLS_1_2, ptr::null_mut());
        // A later OpenSSL speaks 1.3 too, and would not take the gate's cookie for it.
        context.control(SET_MAX_VERSION, DTLS_1_2, ptr::null_mut());
        context.control(SET_SESSION_CACHE, 0, ptr::null_mut());
        context.control(MODE, RELEASE_BUFFERS, ptr::null_mut());
        context.control(SET_MAX_CERT_LIST, LONGEST_CHAIN, ptr::null_mut());
        Ok(context)
    }
}

impl Context {
    fn control(&self, command: c_int, number: c_long, pointer: Opaque) -> bool {
        // SAFETY: the context is alive; each command of this module takes what it is given here.
        unsafe { (self.library.SSL_CTX_ctrl)(self.pointer, command, number, pointer) > 0 }
    }

    fn check(&self, good: bool, what: &str) -> Result<(), Trouble> {
        if good {
            return Ok(());
        }
        Err(Trouble(format!("{what}: {}", self.library.reason())))
    }

    fn set_suites(&self, wanted: &[u16]) -> Result<(), Trouble> {
        let list = names(&SUITES, wanted).ok_or(Trouble("no cipher of DTLS 1.2 is left".into()))?;
        // SAFETY: the text ends with a zero and is copied.
        let set = unsafe { (self.library.SSL_CTX_set_cipher_list)(self.pointer, list.as_ptr()) };
        self.check(set == 1, "no cipher of DTLS 1.2 is left")
    }

    fn set_groups(&self, wanted: &[u16]) -> Result<(), Trouble> {
        let list = names(&GROUPS, wanted).ok_or(Trouble("no group of DTLS 1.2 is left".into()))?;
        let set = self.control(SET_GROUPS_LIST, 0, list.as_ptr().cast_mut().cast());
        self.check(set, "no group of DTLS 1.2 is left")
    }

    /// Clients have to show a certificate, if there is anyone who could have signed it.
    fn ask_clients(&self, roots: &[Vec<u8>]) -> Result<(), Trouble> {
        for der in roots {
            let root = self.parse(self.library.d2i_X509, der);
            self.check(!root.is_null(), "certificate of CA-file cannot be read")?;
            // SAFETY: both are alive; store and list take references of their own, and ours is
            // given back once.
            let added = unsafe {
                let store = (self.library.SSL_CTX_get_cert_store)(self.pointer);
                let added = (self.library.X509_STORE_add_cert)(store, root);
                let named = (self.library.SSL_CTX_add_client_CA)(self.pointer, root);
                (self.library.X509_free)(root);
                added == 1 && named == 1
            };
            self.check(added, "certificate of CA-file cannot be used")?;
        }
        if !roots.is_empty() {
            let verify = self.library.SSL_CTX_set_verify;
            // SAFETY: the context is alive; without a callback OpenSSL's own judgement holds.
            unsafe { verify(self.pointer, VERIFY, ptr::null_mut()) };
        }
        Ok(())
    }

    fn use_chain(&self, chain: &[Vec<u8>]) -> Result<(), Trouble> {
        for (place, der) in chain.iter().enumerate() {
            let certificate = self.parse(self.library.d2i_X509, der);
            self.check(!certificate.is_null(), "certificate cannot be read")?;
            let used = if place == 0 {
                // SAFETY: both are alive; the context takes a reference of its own.
                unsafe { (self.library.SSL_CTX_use_certificate)(self.pointer, certificate) == 1 }
            } else {
                self.control(CHAIN_CERTIFICATE, 1, certificate)
            };
            // SAFETY: our reference, given back once.
            unsafe { (self.library.X509_free)(certificate) };
            self.check(used, "certificate cannot be used for DTLS")?;
        }
        self.check(!chain.is_empty(), "no certificate")
    }

    fn use_key(&self, der: &[u8]) -> Result<(), Trouble> {
        let key = self.parse(self.library.d2i_AutoPrivateKey, der);
        self.check(!key.is_null(), "private key cannot be read")?;
        // SAFETY: both are alive; the context takes a reference of its own and ours is given back.
        let (kind, used) = unsafe {
            let kind = (self.library.EVP_PKEY_get_id)(key);
            let used = (self.library.SSL_CTX_use_PrivateKey)(self.pointer, key);
            (self.library.EVP_PKEY_free)(key);
            (kind, used)
        };
        if EDWARDS.contains(&kind) {
            return Err(Trouble(
                "there is no DTLS with an Ed25519 or Ed448 key".into(),
            ));
        }
        self.check(used == 1, "private key does not belong to the certificate")?;
        // SAFETY: the context is alive.
        let fits = unsafe { (self.library.SSL_CTX_check_private_key)(self.pointer) };
        self.check(fits == 1, "private key does not belong to the certificate")
    }

    fn parse(
        &self,
        read: unsafe extern "C" fn(Opaque, *mut *const c_uchar, c_long) -> Opaque,
        der: &[u8],
    ) -> Opaque {
        let mut cursor = der.as_ptr();
        // SAFETY: `der` is readable for the length given, and OpenSSL moves a cursor of ours.
        unsafe { read(ptr::null_mut(), &raw mut cursor, der.len() as c_long) }
    }
}

/// OpenSSL's names of those that are wanted (none: all), joined; `None` when nothing is left.
fn names(table: &[(u16, &str)], wanted: &[u16]) -> Option<CString> {
    let is_wanted = |number| wanted.is_empty() || wanted.contains(number);
    let left = table.iter().filter(|(number, _)| is_wanted(number));
    let names: Vec<_> = left.map(|(_, name)| *name).collect();
    let text = names.join(":");
    CString::new(text).ok().filter(|text| !text.is_empty())
}

/// ALPN (RFC 7443): the first protocol of the client's that is ours; a client that offers only
/// others is refused (RFC 7301 §3.2).
unsafe extern "C" fn select(
    _: Opaque,
    chosen: *mut *const c_uchar,
    length: *mut c_uchar,
    offered: *const c_uchar,
    offered_length: c_uint,
    _: *mut c_void,
) -> c_int {
    const OK: c_int = 0;
    const FATAL: c_int = 2;
    // SAFETY: OpenSSL hands over so many readable bytes.
    let mut rest = unsafe { std::slice::from_raw_parts(offered, offered_length as usize) };
    while let Some((&count, after)) = rest.split_first() {
        let Some((name, after)) = after.split_at_checked(usize::from(count)) else {
            break;
        };
        if PROTOCOLS.contains(&name) {
            // SAFETY: both are OpenSSL's to be written to; the name lies in what it handed over,
            // as it wants it.
            unsafe {
                *chosen = name.as_ptr();
                *length = count;
            }
            return OK;
        }
        rest = after;
    }
    FATAL
}

/// Cookies are made and verified by the `Gate`, before OpenSSL hears of a client.
unsafe extern "C" fn generate_cookie(_: Opaque, _: *mut c_uchar, _: *mut c_uint) -> c_int {
    0
}

unsafe extern "C" fn verify_cookie(_: Opaque, _: *const c_uchar, _: c_uint) -> c_int {
    1
}
