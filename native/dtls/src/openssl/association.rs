//! One association over DTLS 1.2: an `SSL` between two mailboxes.

use std::ffi::{c_int, c_long, c_uint, c_void};
use std::ptr;
use std::time::Duration;

use crate::association::Heard;
use crate::loading::{Opaque, Trouble};
use crate::mailbox::Mailbox;
use crate::openssl::{bio, Context, Library};
use crate::LONGEST_FLIGHT;

const SET_MTU: c_int = 17;
const GET_TIMEOUT: c_int = 73;
const HANDLE_TIMEOUT: c_int = 74;
const WANT_READ: c_int = 2;
const ZERO_RETURN: c_int = 6;

/// An association, from its proven ClientHello on.
pub(crate) struct Association {
    library: &'static Library,
    ssl: Opaque,
    /// Owned; OpenSSL reaches it through the BIO, so that no reference to it is ever kept.
    mailbox: *mut Mailbox,
    failed: bool,
}

// SAFETY: an `SSL` may move between threads as long as one at a time uses it, and every method
// that touches it takes `&mut self`; the mailbox belongs to it alone.
unsafe impl Send for Association {}

impl Association {
    /// The server's side, begun by a ClientHello whose cookie the `Gate` has found good.
    pub(crate) fn accept(context: &Context, hello: &[u8]) -> Result<Self, Trouble> {
        let mut association = Self::new(context)?;
        association.mailbox().arrive(hello);
        let library = association.library;
        // SAFETY: `ssl` is alive and has its BIO; the address is filled with nothing.
        let listened = unsafe {
            (library.ERR_clear_error)();
            let address = (library.BIO_ADDR_new)();
            let listened = (library.DTLSv1_listen)(association.ssl, address);
            (library.BIO_ADDR_free)(address);
            listened
        };
        if listened != 1 {
            return Err(Trouble(format!(
                "ClientHello refused: {}",
                library.reason()
            )));
        }
        Ok(association)
    }

    /// The client's side; the first `poll` begins the handshake. `protocols`: ALPN, each name
    /// after its length.
    pub(crate) fn connect(context: &Context, protocols: &[u8]) -> Result<Self, Trouble> {
        let association = Self::new(context)?;
        // SAFETY: `ssl` is alive; the names are copied.
        unsafe {
            (association.library.SSL_set_connect_state)(association.ssl);
            if !protocols.is_empty() {
                let length = protocols.len() as c_uint;
                let set = association.library.SSL_set_alpn_protos;
                set(association.ssl, protocols.as_ptr(), length);
            }
        }
        Ok(association)
    }

    fn new(context: &Context) -> Result<Self, Trouble> {
        let library = context.library;
        let mailbox = Box::into_raw(Box::<Mailbox>::default());
        // SAFETY: the context is alive; `SSL_new` takes a reference of its own.
        let ssl = unsafe { (library.SSL_new)(context.pointer) };
        let association = Self {
            library,
            ssl,
            mailbox,
            failed: false,
        };
        if ssl.is_null() {
            return Err(Trouble("no memory for a DTLS association".into()));
        }
        let bio = bio::open(library, mailbox)?;
        // SAFETY: both are alive; given twice the BIO is owned by `ssl` from now on.
        unsafe { (library.SSL_set_bio)(ssl, bio, bio) };
        association.control(SET_MTU, LONGEST_FLIGHT as c_long, ptr::null_mut());
        Ok(association)
    }

    /// A datagram has arrived; `poll` until there is nothing more.
    pub(crate) fn receive(&mut self, datagram: &[u8]) {
        self.mailbox().arrive(datagram);
    }

    /// Goes on with the handshake, or reads a message into `room`, which has `LONGEST_MESSAGE`
    /// bytes at least.
    pub(crate) fn poll(&mut self, room: &mut [u8]) -> Heard {
        if self.failed {
            return Heard::End;
        }
        let length = room.len().min(c_int::MAX as usize) as c_int;
        // SAFETY: `ssl` is alive, and `room` is ours to be written to for its length.
        let count = unsafe {
            (self.library.ERR_clear_error)();
            (self.library.SSL_read)(self.ssl, room.as_mut_ptr().cast(), length)
        };
        if count > 0 {
            return Heard::Message(count as usize);
        }
        // SAFETY: `ssl` is alive, and `count` is what its last call returned.
        match unsafe { (self.library.SSL_get_error)(self.ssl, count) } {
            WANT_READ => Heard::Nothing,
            ZERO_RETURN => Heard::End,
            _ => {
                self.failed = true;
                Heard::End
            }
        }
    }

    /// Whether the handshake is over and messages may be sent.
    pub(crate) fn is_established(&self) -> bool {
        // SAFETY: `ssl` is alive and only read.
        !self.failed && unsafe { (self.library.SSL_is_init_finished)(self.ssl) } == 1
    }

    /// Encrypts a message that is neither empty nor too long; false if it cannot be sent.
    pub(crate) fn send(&mut self, message: &[u8]) -> bool {
        // SAFETY: `ssl` is alive, and the message is readable for its length.
        let count = unsafe {
            (self.library.ERR_clear_error)();
            let octets = message.as_ptr().cast::<c_void>();
            (self.library.SSL_write)(self.ssl, octets, message.len() as c_int)
        };
        count > 0
    }

    /// Takes the datagrams that are to be sent.
    pub(crate) fn take_datagrams(&mut self, send: impl FnMut(&[u8])) {
        self.mailbox().take(send);
    }

    /// When `expire` is due, from now; `None` when nothing waits for an answer.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        let mut left = libc::timeval {
            tv_sec: 0,
            tv_usec: 0,
        };
        let waits = self.control(GET_TIMEOUT, 0, (&raw mut left).cast());
        let micros = (left.tv_sec.max(0) as u64) * 1_000_000 + left.tv_usec.max(0) as u64;
        waits.then(|| Duration::from_micros(micros))
    }

    /// Sends the last flight again if its time is over; false when it was sent too often.
    pub(crate) fn expire(&mut self) -> bool {
        // SAFETY: a plain call.
        unsafe { (self.library.ERR_clear_error)() };
        // SAFETY: `ssl` is alive; the command takes no argument.
        let handled =
            unsafe { (self.library.SSL_ctrl)(self.ssl, HANDLE_TIMEOUT, 0, ptr::null_mut()) };
        self.failed |= handled < 0;
        !self.failed
    }

    /// The protocol that was agreed on by ALPN, empty for none.
    pub(crate) fn protocol(&self) -> Vec<u8> {
        let (mut name, mut length) = (ptr::null(), 0);
        // SAFETY: `ssl` is alive; what it points to is copied before anything else happens to it.
        unsafe {
            (self.library.SSL_get0_alpn_selected)(self.ssl, &raw mut name, &raw mut length);
            if name.is_null() {
                return Vec::new();
            }
            std::slice::from_raw_parts(name, length as usize).to_vec()
        }
    }

    /// Says goodbye (close_notify), if there is anyone to say it to.
    pub(crate) fn close(&mut self) {
        if self.is_established() {
            // SAFETY: `ssl` is alive and has not failed.
            unsafe { (self.library.SSL_shutdown)(self.ssl) };
        }
        self.failed = true;
    }

    fn control(&self, command: c_int, number: c_long, pointer: Opaque) -> bool {
        // SAFETY: `ssl` is alive; each command of this module takes what it is given here.
        unsafe { (self.library.SSL_ctrl)(self.ssl, command, number, pointer) > 0 }
    }

    fn mailbox(&mut self) -> &mut Mailbox {
        // SAFETY: made by `Box::into_raw` and freed in `drop` only; OpenSSL uses it only inside
        // its calls, and the reference ends before the next one, since both need `&mut self`.
        unsafe { &mut *self.mailbox }
    }
}

impl Drop for Association {
    fn drop(&mut self) {
        // SAFETY: `ssl` (which may be null) is freed once, and its BIO with it; the mailbox, which
        // only the BIO knew, comes after.
        unsafe {
            (self.library.SSL_free)(self.ssl);
            drop(Box::from_raw(self.mailbox));
        }
    }
}
