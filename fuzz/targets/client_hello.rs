//! Nobody passes the gate of DTLS without its cookie, and no question is longer than what it answers.
#![no_main]

use std::cell::RefCell;

use ferryman_dtls::{Gate, Knock};
use libfuzzer_sys::fuzz_target;

thread_local! {
    static GATE: RefCell<Gate> = RefCell::new(Gate::new(0).expect("OpenSSL is there"));
}

fuzz_target!(|datagram: &[u8]| {
    GATE.with_borrow_mut(
        |gate| match gate.knock_untrusted(datagram, b"somewhere", 0) {
            Knock::AskBack(question) => {
                assert!(question.len() <= datagram.len());
                assert!(Gate::begins_handshake(datagram));
            }
            Knock::Open(_) => panic!("a cookie was guessed"),
            Knock::Drop => {}
        },
    );
});
