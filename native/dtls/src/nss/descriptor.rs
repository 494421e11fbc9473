//! What stands for the network beneath NSS: an NSPR descriptor at a mailbox.

use std::ffi::{c_int, c_uint, c_void};
use std::mem;

use crate::loading::Trouble;
use crate::mailbox::Mailbox;
use crate::nss::library::Nss;

pub(crate) const WOULD_BLOCK: c_int = -5998;
const NOT_SUPPORTED: c_int = -5965;
/// `PR_DESC_SOCKET_UDP`.
const DATAGRAMS: c_int = 3;
const INET: u16 = 2;
/// `PR_SockOpt_Nonblocking`.
const NONBLOCKING: c_int = 0;

/// `PRFileDesc`: NSS lays its own over ours.
#[repr(C)]
pub(crate) struct Descriptor {
    methods: *const Methods,
    mailbox: *mut Mailbox,
    lower: *mut Descriptor,
    higher: *mut Descriptor,
    end: Option<unsafe extern "C" fn(*mut Descriptor)>,
    identity: c_int,
}

type Refuse = unsafe extern "C" fn() -> c_int;
type Move = unsafe extern "C" fn(*mut Descriptor, *mut c_void, c_int, c_int, c_uint) -> c_int;
type Name = unsafe extern "C" fn(*mut Descriptor, *mut Address) -> c_int;

/// `PRIOMethods`: where NSS calls, and between them what it has no use for.
#[repr(C)]
pub(crate) struct Methods {
    kind: c_int,
    close: unsafe extern "C" fn(*mut Descriptor) -> c_int,
    read_to_listen: [Refuse; 14],
    shutdown: unsafe extern "C" fn(*mut Descriptor, c_int) -> c_int,
    receive: Move,
    send: Move,
    receive_from_to_transmit_file: [Refuse; 5],
    own_name: Name,
    peer_name: Name,
    reserved: [Refuse; 2],
    option: unsafe extern "C" fn(*mut Descriptor, *mut SocketOption) -> c_int,
    rest: [Refuse; 7],
}

/// `PRNetAddr` of IPv4, and room for those that are longer.
#[repr(C)]
struct Address {
    family: u16,
    port: u16,
    ip: u32,
    rest: [u8; 104],
}

/// `PRSocketOptionData`, as far as it is used.
#[repr(C)]
struct SocketOption {
    which: c_int,
    value: Value,
}

#[repr(C)]
union Value {
    is_set: c_int,
    size: usize,
}

static METHODS: Methods = Methods {
    kind: DATAGRAMS,
    close,
    read_to_listen: [refuse; 14],
    shutdown,
    receive,
    send,
    receive_from_to_transmit_file: [refuse; 5],
    own_name: name,
    peer_name: name,
    reserved: [refuse; 2],
    option,
    rest: [refuse; 7],
};

/// A descriptor at this mailbox, which must outlive it and must not move.
pub(crate) fn open(nss: &'static Nss, mailbox: *mut Mailbox) -> Result<*mut Descriptor, Trouble> {
    // SAFETY: the methods are static; the descriptor is new and only stores the pointer.
    unsafe {
        let descriptor = (nss.library.PR_CreateIOLayerStub)(nss.identity, &METHODS);
        if descriptor.is_null() {
            return Err(Trouble("no memory for a DTLS association".into()));
        }
        (*descriptor).mailbox = mailbox;
        Ok(descriptor)
    }
}

fn fail(reason: c_int) -> c_int {
    if let Ok(nss) = Nss::get() {
        // SAFETY: a plain call.
        unsafe { (nss.library.PR_SetError)(reason, 0) };
    }
    -1
}

unsafe extern "C" fn refuse() -> c_int {
    fail(NOT_SUPPORTED)
}

unsafe extern "C" fn close(descriptor: *mut Descriptor) -> c_int {
    // SAFETY: NSPR calls with a descriptor of ours, once, and gives it the function that frees it.
    unsafe {
        if let Some(end) = (*descriptor).end {
            end(descriptor);
        }
    }
    0
}

unsafe extern "C" fn shutdown(_: *mut Descriptor, _: c_int) -> c_int {
    0
}

unsafe extern "C" fn receive(
    descriptor: *mut Descriptor,
    room: *mut c_void,
    length: c_int,
    _: c_int,
    _: c_uint,
) -> c_int {
    // SAFETY: NSS calls with a descriptor of ours, inside a call that holds the association alone,
    // and offers `length` bytes of its own to be written to.
    unsafe {
        let Some(mailbox) = (*descriptor).mailbox.as_mut() else {
            return fail(NOT_SUPPORTED);
        };
        match mailbox.read(length.max(0) as usize) {
            Some(octets) => {
                octets
                    .as_ptr()
                    .copy_to_nonoverlapping(room.cast(), octets.len());
                octets.len() as c_int
            }
            None => fail(WOULD_BLOCK),
        }
    }
}

unsafe extern "C" fn send(
    descriptor: *mut Descriptor,
    octets: *mut c_void,
    length: c_int,
    _: c_int,
    _: c_uint,
) -> c_int {
    // SAFETY: as in `receive`; NSS hands over `length` readable bytes.
    unsafe {
        let Some(mailbox) = (*descriptor).mailbox.as_mut() else {
            return fail(NOT_SUPPORTED);
        };
        let octets = std::slice::from_raw_parts(octets.cast::<u8>(), length.max(0) as usize);
        mailbox.write(octets);
    }
    length
}

/// NSS wants a name of whom it speaks with; where datagrams go is not its affair.
unsafe extern "C" fn name(_: *mut Descriptor, address: *mut Address) -> c_int {
    // SAFETY: NSS offers a `PRNetAddr`, which is longer than one of IPv4 and of this size at least.
    unsafe {
        (*address).family = INET;
        (*address).port = 1_u16.to_be();
        (*address).ip = 0x7F00_0001_u32.to_be();
    }
    0
}

unsafe extern "C" fn option(_: *mut Descriptor, option: *mut SocketOption) -> c_int {
    // SAFETY: NSS offers a `PRSocketOptionData` that says which one it wants.
    unsafe {
        if (*option).which != NONBLOCKING {
            return fail(NOT_SUPPORTED);
        }
        (*option).value.is_set = 1;
    }
    0
}

// `PRIOMethods` has a number and 35 functions.
const _: () = assert!(mem::size_of::<Methods>() == 36 * mem::size_of::<usize>());
