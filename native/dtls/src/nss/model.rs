//! What all associations of a server share: certificate, key, ciphers, protocols. NSS keeps them in a
//! descriptor that others are made after.

use std::ffi::{c_int, c_uint, c_void};
use std::ptr;
use std::sync::{Mutex, PoisonError};

use crate::endpoint::{Credentials, PROTOCOLS};
use crate::loading::{Opaque, Trouble};
use crate::mailbox::Mailbox;
use crate::nss::descriptor::{self, Descriptor};
use crate::nss::library::{Chain, Extra, Item, Library, Nss, Versions};

/// DTLS 1.3, by the number of TLS 1.3, which NSS wants.
const VERSION: u16 = 0x0304;
/// TLS_AES_128_GCM_SHA256, TLS_AES_256_GCM_SHA384, TLS_CHACHA20_POLY1305_SHA256.
const SUITES: [u16; 3] = [0x1301, 0x1302, 0x1303];
/// X25519, P-256, P-384.
const GROUPS: [u16; 3] = [0x001D, 0x0017, 0x0018];

const HANDSHAKE_AS_CLIENT: c_int = 5;
const HANDSHAKE_AS_SERVER: c_int = 6;
const NO_CACHE: c_int = 9;
/// Every use of a key but for its own government's.
const ALL_USES: c_uint = 0xFF;

/// What the associations of one server (or, in tests, one client) share.
pub(crate) struct Model {
    pub(crate) nss: &'static Nss,
    /// Locked while another descriptor is made after it.
    descriptor: Mutex<Owned>,
}

struct Owned(*mut Descriptor);
// SAFETY: NSS's descriptors belong to no thread, and the mutex lets one at a time use this one.
unsafe impl Send for Owned {}

impl Model {
    /// A server's: DTLS 1.3 alone, no tickets, no data before the handshake is over.
    pub(crate) fn server(credentials: &Credentials<'_>) -> Result<Self, Trouble> {
        if !credentials.client_roots.is_empty() {
            return Err(Trouble("CA-file is for DTLS 1.2 alone".into()));
        }
        let nss = Nss::get()?;
        let suites = wanted(&SUITES, credentials.cipher_suites);
        let groups = wanted(&GROUPS, credentials.groups);
        if suites.is_empty() || groups.is_empty() {
            return Err(Trouble("no cipher or no group of DTLS 1.3 is left".into()));
        }
        let model = Self::new(nss, HANDSHAKE_AS_SERVER, &suites)?;
        model.use_groups(&groups)?;
        model.use_certificate(credentials)?;
        Ok(model)
    }

    /// A client's that trusts everyone: for tests and for measuring.
    pub(crate) fn trusting_client() -> Result<Self, Trouble> {
        let model = Self::new(Nss::get()?, HANDSHAKE_AS_CLIENT, &SUITES)?;
        model.use_groups(&GROUPS)?;
        let descriptor = model.descriptor();
        // SAFETY: the descriptor is alive; the function is of the type that NSS calls.
        unsafe { (model.nss.library.SSL_AuthCertificateHook)(descriptor, trust, ptr::null_mut()) };
        Ok(model)
    }

    fn new(nss: &'static Nss, side: c_int, suites: &[u16]) -> Result<Self, Trouble> {
        // Nothing is ever sent or received through it.
        let model = Self {
            nss,
            descriptor: Mutex::new(Owned(import(nss, ptr::null_mut(), ptr::null_mut())?)),
        };
        let (library, descriptor) = (&nss.library, model.descriptor());
        let versions = Versions {
            least: VERSION,
            most: VERSION,
        };
        let protocols = protocols();
        // SAFETY: the descriptor is alive and nobody else's yet; what is pointed to is copied.
        let set = unsafe {
            let option = library.SSL_OptionSet;
            option(descriptor, side, 1) == 0
                && option(descriptor, NO_CACHE, 1) == 0
                && (library.SSL_VersionRangeSet)(descriptor, &raw const versions) == 0
                && (library.SSL_SetNextProtoNego)(
                    descriptor,
                    protocols.as_ptr(),
                    protocols.len() as c_uint,
                ) == 0
                && SUITES.iter().all(|suite| {
                    let used = c_int::from(suites.contains(suite));
                    (library.SSL_CipherPrefSet)(descriptor, c_int::from(*suite), used) == 0
                })
        };
        library.check(set, "DTLS 1.3 cannot be set up")?;
        Ok(model)
    }

    fn descriptor(&self) -> *mut Descriptor {
        let owned = self.descriptor.lock();
        owned.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Another one like it, at a mailbox of its own, which must outlive it and must not move.
    pub(crate) fn another(&self, mailbox: *mut Mailbox) -> Result<*mut Descriptor, Trouble> {
        let owned = self.descriptor.lock();
        let model = owned.unwrap_or_else(PoisonError::into_inner);
        import(self.nss, model.0, mailbox)
    }

    fn use_groups(&self, groups: &[u16]) -> Result<(), Trouble> {
        let groups: Vec<_> = groups.iter().map(|group| c_int::from(*group)).collect();
        let (library, count) = (&self.nss.library, groups.len() as c_uint);
        // SAFETY: the descriptor is alive; the numbers are copied.
        let set =
            unsafe { (library.SSL_NamedGroupConfig)(self.descriptor(), groups.as_ptr(), count) };
        library.check(set == 0, "no group of DTLS 1.3 is left")
    }

    fn use_certificate(&self, credentials: &Credentials<'_>) -> Result<(), Trouble> {
        let library = &self.nss.library;
        let items: Vec<_> = credentials.chain.iter().map(|der| Item::of(der)).collect();
        let own = items.first().ok_or(Trouble("no certificate".into()))?;
        // SAFETY: the item is readable and copied; the database is NSS's own, in memory.
        let certificate = unsafe {
            let database = (library.CERT_GetDefaultCertDB)();
            (library.CERT_NewTempCertificate)(database, own, ptr::null(), 0, 1)
        };
        library.check(!certificate.is_null(), "certificate cannot be read")?;
        let used = self.use_pair(certificate, credentials.key, &items);
        // SAFETY: our reference, given back once; the model has one of its own.
        unsafe { (library.CERT_DestroyCertificate)(certificate) };
        used
    }

    fn use_pair(&self, certificate: Opaque, key: &[u8], items: &[Item]) -> Result<(), Trouble> {
        let library = &self.nss.library;
        let key = private_key(library, key)?;
        let chain = Chain {
            certificates: items.as_ptr(),
            count: items.len() as c_int,
            arena: ptr::null_mut(),
        };
        let extra = Extra {
            kind: 0,
            chain: &raw const chain,
            nothing: [ptr::null_mut(); 4],
        };
        // SAFETY: all are alive; what is pointed to is copied or gets a reference of the model's
        // own, and ours to the key is given back.
        let used = unsafe {
            let length = size_of::<Extra>() as c_uint;
            let configure = library.SSL_ConfigServerCert;
            let used = configure(
                self.descriptor(),
                certificate,
                key,
                &raw const extra,
                length,
            );
            (library.SECKEY_DestroyPrivateKey)(key);
            used
        };
        library.check(used == 0, "certificate cannot be used for DTLS 1.3")
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        // SAFETY: made by `import` and closed once; associations have copies of their own.
        unsafe { (self.nss.library.PR_Close)(self.descriptor()) };
    }
}

impl Library {
    fn check(&self, good: bool, what: &str) -> Result<(), Trouble> {
        if good {
            return Ok(());
        }
        Err(Trouble(format!("{what}: {}", self.reason())))
    }
}

/// NSS's layer over one of our descriptors, after a model or after none.
fn import(
    nss: &'static Nss,
    model: *mut Descriptor,
    mailbox: *mut Mailbox,
) -> Result<*mut Descriptor, Trouble> {
    let ours = descriptor::open(nss, mailbox)?;
    // SAFETY: both are alive (the model may be null); on success ours belongs to NSS's, otherwise
    // it is closed here.
    unsafe {
        let over = (nss.library.DTLS_ImportFD)(model, ours);
        if over.is_null() {
            let reason = nss.library.reason();
            (nss.library.PR_Close)(ours);
            return Err(Trouble(format!("no DTLS 1.3: {reason}")));
        }
        Ok(over)
    }
}

/// A key from PKCS#8, in memory alone.
fn private_key(library: &Library, der: &[u8]) -> Result<Opaque, Trouble> {
    let (item, mut key) = (Item::of(der), ptr::null_mut());
    // SAFETY: the item is readable; the key is made by NSS and given back by the caller.
    let read = unsafe {
        let slot = (library.PK11_GetInternalSlot)();
        if slot.is_null() {
            return Err(Trouble(format!("no keys in NSS: {}", library.reason())));
        }
        let nothing = ptr::null();
        let import = library.PK11_ImportDERPrivateKeyInfoAndReturnKey;
        let (passing, open) = (0, 0);
        let read = import(
            slot,
            &raw const item,
            nothing,
            nothing,
            passing,
            open,
            ALL_USES,
            &raw mut key,
            ptr::null_mut(),
        );
        (library.PK11_FreeSlot)(slot);
        read
    };
    let what = "private key cannot be used for DTLS 1.3";
    library.check(read == 0 && !key.is_null(), what)?;
    Ok(key)
}

/// Those that are wanted (none: all), in the table's order.
fn wanted(table: &[u16], wanted: &[u16]) -> Vec<u16> {
    let is_wanted = |number: &&u16| wanted.is_empty() || wanted.contains(number);
    table.iter().filter(is_wanted).copied().collect()
}

/// The names of RFC 7443, each after its length; NSS takes the first for the one that it likes least.
fn protocols() -> Vec<u8> {
    let named = |name: &&[u8]| [&[name.len() as u8], *name].concat();
    PROTOCOLS.iter().rev().flat_map(named).collect()
}

unsafe extern "C" fn trust(_: *mut c_void, _: *mut Descriptor, _: c_int, _: c_int) -> c_int {
    0
}
