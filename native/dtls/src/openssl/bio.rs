//! What stands for the network beneath OpenSSL: a BIO at a mailbox.

use std::ffi::{c_char, c_int, c_long, c_void};
use std::ptr;
use std::sync::OnceLock;

use crate::loading::{Opaque, Trouble};
use crate::mailbox::Mailbox;
use crate::openssl::Library;

const FLUSH: c_int = 11;
const RETRY_READ: c_int = 0x01 | 0x08;
/// BIO_TYPE_DESCRIPTOR is 0x100, BIO_TYPE_SOURCE_SINK 0x400: neither a filter nor a descriptor.
const SOURCE_SINK: c_int = 0x0400;

/// A BIO at this mailbox. The mailbox must outlive it and must not move.
pub(crate) fn open(library: &'static Library, mailbox: *mut Mailbox) -> Result<Opaque, Trouble> {
    let method = method(library)?;
    // SAFETY: the method is complete; the BIO is new and only stores the pointer.
    unsafe {
        let bio = (library.BIO_new)(method);
        if bio.is_null() {
            return Err(Trouble("no memory for a DTLS association".into()));
        }
        (library.BIO_set_data)(bio, mailbox.cast());
        (library.BIO_set_init)(bio, 1);
        Ok(bio)
    }
}

/// A pointer that OpenSSL never changes once it is made.
struct Method(Opaque);
// SAFETY: the method is written before it is shared and only read afterwards.
unsafe impl Send for Method {}
// SAFETY: as above.
unsafe impl Sync for Method {}

fn method(library: &'static Library) -> Result<Opaque, Trouble> {
    static METHOD: OnceLock<Method> = OnceLock::new();
    let method = METHOD.get_or_init(|| Method(make(library)));
    if method.0.is_null() {
        return Err(Trouble("OpenSSL refuses a BIO of our own".into()));
    }
    Ok(method.0)
}

fn make(library: &'static Library) -> Opaque {
    // SAFETY: plain calls; the callbacks are of the types that OpenSSL calls, and the name is
    // static. A failure leaves a null pointer, which `method` reports.
    unsafe {
        let kind = (library.BIO_get_new_index)() | SOURCE_SINK;
        let method = (library.BIO_meth_new)(kind, c"ferryman".as_ptr());
        let made = !method.is_null()
            && (library.BIO_meth_set_write)(method, write) == 1
            && (library.BIO_meth_set_read)(method, read) == 1
            && (library.BIO_meth_set_ctrl)(method, control) == 1;
        if made {
            method
        } else {
            ptr::null_mut()
        }
    }
}

/// The library and the mailbox of a BIO.
///
/// # Safety
/// `bio` was made by `open`, its mailbox is alive, and nobody else holds a reference to it.
unsafe fn mailbox<'a>(bio: Opaque) -> Option<(&'static Library, &'a mut Mailbox)> {
    let library = Library::get().ok()?;
    // SAFETY: by the contract above.
    let mailbox = unsafe { (library.BIO_get_data)(bio).cast::<Mailbox>().as_mut() }?;
    Some((library, mailbox))
}

unsafe extern "C" fn write(bio: Opaque, octets: *const c_char, length: c_int) -> c_int {
    // SAFETY: OpenSSL calls with a BIO of ours, inside a call that holds the association alone.
    let Some((_, mailbox)) = (unsafe { mailbox(bio) }) else {
        return -1;
    };
    if octets.is_null() || length <= 0 {
        return 0;
    }
    // SAFETY: OpenSSL hands over `length` readable bytes.
    mailbox.write(unsafe { std::slice::from_raw_parts(octets.cast(), length as usize) });
    length
}

unsafe extern "C" fn read(bio: Opaque, room: *mut c_char, length: c_int) -> c_int {
    // SAFETY: as in `write`.
    let Some((library, mailbox)) = (unsafe { mailbox(bio) }) else {
        return -1;
    };
    if room.is_null() || length <= 0 {
        return 0;
    }
    // SAFETY: setting flags of a BIO that is alive.
    unsafe { (library.BIO_clear_flags)(bio, RETRY_READ) };
    let Some(octets) = mailbox.read(length as usize) else {
        // SAFETY: as above.
        unsafe { (library.BIO_set_flags)(bio, RETRY_READ) };
        return -1;
    };
    // SAFETY: OpenSSL offers `length` bytes of its own to be written to, which nobody has to have
    // written before; `octets` is no longer, and lies in a vector of the mailbox.
    unsafe { ptr::copy_nonoverlapping(octets.as_ptr(), room.cast::<u8>(), octets.len()) };
    octets.len() as c_int
}

unsafe extern "C" fn control(_: Opaque, command: c_int, _: c_long, _: *mut c_void) -> c_long {
    // Nothing is held back, so that a flush succeeds; OpenSSL takes 0 for "not known here".
    c_long::from(command == FLUSH)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_arrived_is_written_and_it_is_read_once() {
        let library = Library::get().unwrap();
        let mut mailbox = Box::<Mailbox>::default();
        mailbox.arrive(b"datagram");
        let bio = open(library, &raw mut *mailbox).unwrap();
        let mut room = [0x55_u8; 64];
        let mut take = |length| {
            // SAFETY: a BIO of ours, whose mailbox nobody else holds, and a room so long.
            let count = unsafe { read(bio, room.as_mut_ptr().cast(), length) };
            (count, room)
        };
        let (count, room) = take(64);
        assert_eq!((count, &room[..8]), (8, &b"datagram"[..]));
        assert_eq!(room[8..], [0x55; 56]);
        assert_eq!(take(64).0, -1);

        mailbox.arrive(b"");
        assert_eq!(take(64).0, -1);
        mailbox.arrive(b"DATAGRAM");
        let (count, room) = take(4);
        assert_eq!((count, &room[..8]), (4, &b"DATAgram"[..]));
        assert_eq!(take(4).0, -1);
    }
}
