//! NSS's functions, and NSPR's beneath them: `libssl3.so` and what it needs.
//!
//! The types are those of `ssl.h`, `sslexp.h`, `pk11pub.h`, `cert.h` and `prio.h` of NSS 3.

use std::ffi::{c_char, c_int, c_uint, c_void, CStr};
use std::ptr;
use std::sync::OnceLock;

use crate::loading::{library, open, Opaque, Trouble};
use crate::nss::descriptor::{Descriptor, Methods};

/// `SECItem`: octets of some kind.
#[repr(C)]
pub(crate) struct Item {
    kind: c_int,
    octets: *const u8,
    length: c_uint,
}

impl Item {
    pub(crate) fn of(octets: &[u8]) -> Self {
        Self {
            kind: 0,
            octets: octets.as_ptr(),
            length: octets.len() as c_uint,
        }
    }
}

/// `SSLVersionRange`: both in it.
#[repr(C)]
pub(crate) struct Versions {
    pub(crate) least: u16,
    pub(crate) most: u16,
}

/// `CERTCertificateList`; NSS copies it.
#[repr(C)]
pub(crate) struct Chain {
    pub(crate) certificates: *const Item,
    pub(crate) count: c_int,
    pub(crate) arena: Opaque,
}

/// `SSLExtraServerCertData`: the rest is zero.
#[repr(C)]
pub(crate) struct Extra {
    pub(crate) kind: c_int,
    pub(crate) chain: *const Chain,
    pub(crate) nothing: [Opaque; 4],
}

pub(crate) type AuthCertificate =
    unsafe extern "C" fn(Opaque, *mut Descriptor, c_int, c_int) -> c_int;
/// Whether it is the first ClientHello; its token; room for a token, its length, what there is
/// room for; the argument.
pub(crate) type Retry = unsafe extern "C" fn(
    c_int,
    *const u8,
    c_uint,
    *mut u8,
    *mut c_uint,
    c_uint,
    *mut c_void,
) -> c_int;
pub(crate) type SetRetry = unsafe extern "C" fn(*mut Descriptor, Retry, *mut c_void) -> c_int;

library! {
    PR_GetUniqueIdentity: fn(*const c_char) -> c_int;
    PR_CreateIOLayerStub: fn(c_int, *const Methods) -> *mut Descriptor;
    PR_Read: fn(*mut Descriptor, *mut c_void, c_int) -> c_int;
    PR_Write: fn(*mut Descriptor, *const c_void, c_int) -> c_int;
    PR_Shutdown: fn(*mut Descriptor, c_int) -> c_int;
    PR_Close: fn(*mut Descriptor) -> c_int;
    PR_SetError: fn(c_int, c_int);
    PR_GetError: fn() -> c_int;
    PR_ErrorToName: fn(c_int) -> *const c_char;
    PR_IntervalToMicroseconds: fn(c_uint) -> c_uint;
    NSS_VersionCheck: fn(*const c_char) -> c_int;
    NSS_GetVersion: fn() -> *const c_char;
    NSS_InitContext: fn(*const c_char, *const c_char, *const c_char, *const c_char, Opaque, c_uint) -> Opaque;
    NSS_SetDomesticPolicy: fn() -> c_int;
    PK11_GetInternalSlot: fn() -> Opaque;
    PK11_FreeSlot: fn(Opaque);
    PK11_ImportDERPrivateKeyInfoAndReturnKey: fn(Opaque, *const Item, *const Item, *const Item, c_int, c_int, c_uint, *mut Opaque, Opaque) -> c_int;
    SECKEY_DestroyPrivateKey: fn(Opaque);
    CERT_GetDefaultCertDB: fn() -> Opaque;
    CERT_NewTempCertificate: fn(Opaque, *const Item, *const c_char, c_int, c_int) -> Opaque;
    CERT_DestroyCertificate: fn(Opaque);
    DTLS_ImportFD: fn(*mut Descriptor, *mut Descriptor) -> *mut Descriptor;
    DTLS_GetHandshakeTimeout: fn(*mut Descriptor, *mut c_uint) -> c_int;
    SSL_OptionSet: fn(*mut Descriptor, c_int, c_int) -> c_int;
    SSL_VersionRangeSet: fn(*mut Descriptor, *const Versions) -> c_int;
    SSL_CipherPrefSet: fn(*mut Descriptor, c_int, c_int) -> c_int;
    SSL_NamedGroupConfig: fn(*mut Descriptor, *const c_int, c_uint) -> c_int;
    SSL_ConfigServerCert: fn(*mut Descriptor, Opaque, Opaque, *const Extra, c_uint) -> c_int;
    SSL_SetNextProtoNego: fn(*mut Descriptor, *const u8, c_uint) -> c_int;
    SSL_GetNextProto: fn(*mut Descriptor, *mut c_int, *mut u8, *mut c_uint, c_uint) -> c_int;
    SSL_AuthCertificateHook: fn(*mut Descriptor, AuthCertificate, *mut c_void) -> c_int;
    SSL_ResetHandshake: fn(*mut Descriptor, c_int) -> c_int;
    SSL_ForceHandshake: fn(*mut Descriptor) -> c_int;
    SSL_GetExperimentalAPI: fn(*const c_char) -> Opaque;
}

const FILE: &CStr = c"libssl3.so";
/// Read only, without files of certificates or modules, however it is asked, without roots, and
/// small: what `NSS_NoDB_Init` asks for, in a context of its own.
const WITHOUT_FILES: c_uint = 0x01 | 0x02 | 0x04 | 0x08 | 0x10 | 0x20;
/// The first that speaks DTLS 1.3 as it was published; those before it speak a draft.
const OLDEST: &CStr = c"3.97";
const RETRY: &CStr = c"SSL_HelloRetryRequestCallback";

/// NSS as this process has it.
pub(crate) struct Nss {
    pub(crate) library: Library,
    pub(crate) set_retry: SetRetry,
    /// What NSPR knows our descriptors by.
    pub(crate) identity: c_int,
}

impl Nss {
    /// Loaded and begun once.
    pub(crate) fn get() -> Result<&'static Self, Trouble> {
        static NSS: OnceLock<Result<Nss, Trouble>> = OnceLock::new();
        NSS.get_or_init(Self::load).as_ref().map_err(Clone::clone)
    }

    fn load() -> Result<Self, Trouble> {
        let handle = open(FILE).ok_or(Trouble(
            "DTLS 1.3 needs NSS (libssl3.so), which this machine lacks; \
             on Debian: apt-get install libnss3"
                .into(),
        ))?;
        let library = Library::find(handle)?;
        library.check_version()?;
        let nothing = c"".as_ptr();
        // SAFETY: the texts end with a zero; no parameters are given. The context is never ended.
        let begun = unsafe {
            let begin = library.NSS_InitContext;
            let context = begin(
                nothing,
                nothing,
                nothing,
                nothing,
                ptr::null_mut(),
                WITHOUT_FILES,
            );
            !context.is_null() && (library.NSS_SetDomesticPolicy)() == 0
        };
        if !begun {
            return Err(Trouble(format!("NSS does not begin: {}", library.reason())));
        }
        // SAFETY: the text ends with a zero.
        let retry = unsafe { (library.SSL_GetExperimentalAPI)(RETRY.as_ptr()) };
        if retry.is_null() {
            return Err(Trouble("this NSS has no cookies of DTLS 1.3".into()));
        }
        // SAFETY: the function of this name has this signature (`sslexp.h`).
        let set_retry = unsafe { std::mem::transmute::<Opaque, SetRetry>(retry) };
        // SAFETY: the text is static.
        let identity = unsafe { (library.PR_GetUniqueIdentity)(c"ferryman".as_ptr()) };
        Ok(Self {
            library,
            set_retry,
            identity,
        })
    }
}

impl Library {
    fn check_version(&self) -> Result<(), Trouble> {
        // SAFETY: the text ends with a zero; NSS's own is static and does too.
        unsafe {
            if (self.NSS_VersionCheck)(OLDEST.as_ptr()) != 0 {
                return Ok(());
            }
            let found = CStr::from_ptr((self.NSS_GetVersion)()).to_string_lossy();
            Err(Trouble(format!(
                "DTLS 1.3 needs NSS 3.97 or newer, and this machine has {found}"
            )))
        }
    }

    /// What NSS says about the last failure of this thread.
    pub(crate) fn reason(&self) -> String {
        // SAFETY: both take and return plain values; the text is static and ends with a zero.
        unsafe {
            let text = (self.PR_ErrorToName)((self.PR_GetError)());
            if text.is_null() {
                "no reason given".into()
            } else {
                CStr::from_ptr(text).to_string_lossy().into_owned()
            }
        }
    }
}
