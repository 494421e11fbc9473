//! One association over DTLS 1.3: NSS's descriptor over a mailbox.

use std::ffi::{c_int, c_uint, c_void};
use std::time::Duration;

use crate::association::Heard;
use crate::loading::Trouble;
use crate::mailbox::Mailbox;
use crate::nss::descriptor::{Descriptor, WOULD_BLOCK};
use crate::nss::library::Nss;
use crate::nss::{Model, Token};

const SERVER: c_int = 1;
const CLIENT: c_int = 0;
const SHUTDOWN_SEND: c_int = 1;
/// What NSS says of records that are none of its own, which anyone could have sent, and forgets:
/// `SSL_ERROR_RX_UNKNOWN_RECORD_TYPE`, `SSL_ERROR_RX_RECORD_TOO_LONG`, `SSL_ERROR_BAD_MAC_READ`.
const NOISE: [c_int; 3] = [-12_288 + 55, -12_288 + 25, -12_288 + 15];
/// A datagram has no more records than this.
const RECORDS: usize = 65_536;
/// `SSLHelloRetryRequestAction`.
const FAIL: c_int = 0;
const ACCEPT: c_int = 1;
const ASK: c_int = 2;

/// What NSS is told when it asks about a ClientHello.
struct Judge {
    /// Tokens that are good now; the first is for those who have none.
    tokens: [Token; 2],
    /// A good one was brought.
    proved: bool,
}

/// An association; the server's begins with a ClientHello.
pub(crate) struct Association {
    nss: &'static Nss,
    descriptor: *mut Descriptor,
    /// Both owned; NSS reaches them through its descriptor, so that no reference is ever kept.
    mailbox: *mut Mailbox,
    judge: *mut Judge,
    established: bool,
    failed: bool,
}

// SAFETY: a descriptor of NSS's may move between threads, and every method that touches it takes
// `&mut self`; mailbox and judge belong to it alone.
unsafe impl Send for Association {}

impl Association {
    /// The answer to a stranger's ClientHello; nothing is kept. NSS puts the first token into the
    /// cookie of its HelloRetryRequest, encrypted, with what it has to remember of the hello.
    pub(crate) fn answer(model: &Model, hello: &[u8], tokens: [Token; 2]) -> Option<Vec<u8>> {
        let mut stranger = Self::server(model, hello, tokens).ok()?;
        stranger.shake_hands();
        let mut answer = None;
        let whole = &mut answer;
        stranger.take_datagrams(|datagram| {
            whole.get_or_insert_with(|| datagram.to_vec());
        });
        answer
    }

    /// The server's side, begun by a ClientHello that brings one of the tokens back; `None` for one
    /// that does not.
    pub(crate) fn accept(
        model: &Model,
        hello: &[u8],
        tokens: [Token; 2],
    ) -> Result<Option<Self>, Trouble> {
        let mut association = Self::server(model, hello, tokens)?;
        association.shake_hands();
        // SAFETY: nobody else reaches the judge between calls of NSS.
        let proved = unsafe { (*association.judge).proved };
        Ok(proved.then_some(association))
    }

    fn server(model: &Model, hello: &[u8], tokens: [Token; 2]) -> Result<Self, Trouble> {
        let mut association = Self::new(model, tokens)?;
        association.begin(SERVER);
        let (set_retry, judge) = (association.nss.set_retry, association.judge);
        // SAFETY: the descriptor is alive, and the judge outlives it.
        let set = unsafe { set_retry(association.descriptor, judge_hello, judge.cast()) };
        if set != 0 {
            let reason = association.nss.library.reason();
            return Err(Trouble(format!("no cookies: {reason}")));
        }
        association.receive(hello);
        Ok(association)
    }

    /// The client's side; the first `poll` begins the handshake. It offers the protocols of
    /// RFC 7443.
    pub(crate) fn connect(model: &Model) -> Result<Self, Trouble> {
        let mut association = Self::new(model, [[0; 16]; 2])?;
        association.begin(CLIENT);
        Ok(association)
    }

    fn new(model: &Model, tokens: [Token; 2]) -> Result<Self, Trouble> {
        let mailbox = Box::into_raw(Box::<Mailbox>::default());
        let descriptor = match model.another(mailbox) {
            Ok(descriptor) => descriptor,
            Err(trouble) => {
                // SAFETY: made above, and nobody else has it.
                drop(unsafe { Box::from_raw(mailbox) });
                return Err(trouble);
            }
        };
        let judge = Judge {
            tokens,
            proved: false,
        };
        Ok(Self {
            nss: model.nss,
            descriptor,
            mailbox,
            judge: Box::into_raw(Box::new(judge)),
            established: false,
            failed: false,
        })
    }

    fn begin(&mut self, side: c_int) {
        // SAFETY: the descriptor is alive.
        let begun = unsafe { (self.nss.library.SSL_ResetHandshake)(self.descriptor, side) };
        self.failed = begun != 0;
    }

    pub(crate) fn receive(&mut self, datagram: &[u8]) {
        self.mailbox().arrive(datagram);
    }

    /// Goes on with the handshake as far as it can.
    fn shake_hands(&mut self) {
        if self.established || self.failed {
            return;
        }
        // SAFETY: the descriptor is alive.
        let done =
            self.hear(|nss, descriptor| unsafe { (nss.library.SSL_ForceHandshake)(descriptor) });
        self.established = matches!(done, Heard::Message(_));
        self.failed = done == Heard::End;
    }

    /// Has NSS read what there is, past all noise. `read` returns how much there was, or -1.
    fn hear(&mut self, read: impl Fn(&Nss, *mut Descriptor) -> c_int) -> Heard {
        for _ in 0..RECORDS {
            let count = read(self.nss, self.descriptor);
            if count >= 0 {
                return usize::try_from(count).map_or(Heard::End, Heard::Message);
            }
            // SAFETY: a plain call.
            let reason = unsafe { (self.nss.library.PR_GetError)() };
            if reason == WOULD_BLOCK {
                return Heard::Nothing;
            }
            if !NOISE.contains(&reason) {
                break;
            }
        }
        self.failed = true;
        Heard::End
    }

    pub(crate) fn poll(&mut self, room: &mut [u8]) -> Heard {
        self.shake_hands();
        if self.failed {
            return Heard::End;
        }
        if !self.established {
            return Heard::Nothing;
        }
        let (room, length) = (room.as_mut_ptr(), room.len().min(c_int::MAX as usize));
        // SAFETY: the descriptor is alive, and the room is ours to be written to for its length.
        let heard = self.hear(|nss, descriptor| unsafe {
            (nss.library.PR_Read)(descriptor, room.cast(), length as c_int)
        });
        match heard {
            Heard::Message(0) => Heard::End,
            heard => heard,
        }
    }

    pub(crate) fn is_established(&self) -> bool {
        self.established && !self.failed
    }

    /// Encrypts a message that is neither empty nor too long; false if it cannot be sent.
    pub(crate) fn send(&mut self, message: &[u8]) -> bool {
        let (octets, length) = (message.as_ptr().cast::<c_void>(), message.len() as c_int);
        // SAFETY: the descriptor is alive, and the message is readable for its length.
        unsafe { (self.nss.library.PR_Write)(self.descriptor, octets, length) == length }
    }

    pub(crate) fn take_datagrams(&mut self, send: impl FnMut(&[u8])) {
        self.mailbox().take(send);
    }

    pub(crate) fn timeout(&self) -> Option<Duration> {
        let mut left = 0;
        // SAFETY: the descriptor is alive, and the time is ours to be written to.
        unsafe {
            let ask = self.nss.library.DTLS_GetHandshakeTimeout;
            let waits = ask(self.descriptor, &raw mut left) == 0;
            let micros = (self.nss.library.PR_IntervalToMicroseconds)(left);
            waits.then(|| Duration::from_micros(micros.into()))
        }
    }

    /// Sends again what was not answered in time: NSS looks at its timers when it reads.
    pub(crate) fn expire(&mut self) -> bool {
        self.shake_hands();
        !self.failed
    }

    pub(crate) fn protocol(&self) -> Vec<u8> {
        let (mut name, mut length, mut state) = ([0; 255], 0, 0);
        let room = name.len() as c_uint;
        // SAFETY: the descriptor is alive; no more is written than there is room for.
        let told = unsafe {
            let ask = self.nss.library.SSL_GetNextProto;
            ask(
                self.descriptor,
                &raw mut state,
                name.as_mut_ptr(),
                &raw mut length,
                room,
            )
        };
        let length = if told == 0 { length as usize } else { 0 };
        name.get(..length).unwrap_or_default().to_vec()
    }

    pub(crate) fn close(&mut self) {
        if self.is_established() {
            // SAFETY: the descriptor is alive and has not failed.
            unsafe { (self.nss.library.PR_Shutdown)(self.descriptor, SHUTDOWN_SEND) };
        }
        self.failed = true;
    }

    fn mailbox(&mut self) -> &mut Mailbox {
        // SAFETY: made by `Box::into_raw` and freed in `drop` only; NSS uses it only inside its
        // calls, and the reference ends before the next one, since both need `&mut self`.
        unsafe { &mut *self.mailbox }
    }
}

impl Drop for Association {
    fn drop(&mut self) {
        // SAFETY: the descriptor is closed once, and ours beneath it with it; mailbox and judge,
        // which only they knew, come after.
        unsafe {
            (self.nss.library.PR_Close)(self.descriptor);
            drop(Box::from_raw(self.mailbox));
            drop(Box::from_raw(self.judge));
        }
    }
}

unsafe extern "C" fn judge_hello(
    is_first: c_int,
    brought: *const u8,
    length: c_uint,
    token: *mut u8,
    token_length: *mut c_uint,
    room: c_uint,
    judge: *mut c_void,
) -> c_int {
    // SAFETY: NSS hands over the judge that it was given, inside a call that holds the association
    // alone, `length` readable bytes, and room for so many of a token.
    unsafe {
        let Some(judge) = judge.cast::<Judge>().as_mut() else {
            return FAIL;
        };
        let fresh = &judge.tokens[0];
        if is_first != 0 {
            if (room as usize) < fresh.len() {
                return FAIL;
            }
            token.copy_from_nonoverlapping(fresh.as_ptr(), fresh.len());
            *token_length = fresh.len() as c_uint;
            return ASK;
        }
        if brought.is_null() {
            return FAIL;
        }
        // NSS has proved that it made the cookie: comparing need not hide where it ends.
        let brought = std::slice::from_raw_parts(brought, length as usize);
        judge.proved = judge.tokens.iter().any(|token| token == brought);
        if judge.proved {
            ACCEPT
        } else {
            FAIL
        }
    }
}
