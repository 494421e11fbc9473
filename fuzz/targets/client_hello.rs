//! Nobody passes the gate of DTLS without its cookie, and no question is longer than what it answers,
//! or than twice that over DTLS 1.3.
#![no_main]

use std::cell::RefCell;

use ferryman_dtls::{Endpoint, Gate, Knock, Refused};
use ferryman_fuzz::{endpoint, PERIOD};
use libfuzzer_sys::fuzz_target;

const ADDRESS: &[u8] = b"somewhere";

thread_local! {
    static SERVER: RefCell<(Endpoint, Gate, u64)> =
        RefCell::new((endpoint(), Gate::new(0).expect("OpenSSL is there"), 0));
}

fuzz_target!(|datagram: &[u8]| {
    SERVER.with_borrow_mut(|(endpoint, gate, now)| {
        // Each is the first of its period: NSS hears all that it would hear.
        *now += PERIOD;
        match gate.knock_untrusted(endpoint, datagram, ADDRESS, *now) {
            Knock::AskBack(question) => {
                assert!(question.len() <= 2 * datagram.len());
                assert!(Gate::begins_handshake(datagram));
            }
            Knock::Open(_) => panic!("a cookie was guessed"),
            Knock::Claim(_) => match gate.admit(endpoint, datagram, ADDRESS, *now) {
                Ok(_) => panic!("a cookie was guessed"),
                Err(Refused::BadCookie(alert)) => assert!(alert.len() < datagram.len()),
                Err(Refused::Unheard(trouble)) => panic!("{trouble}"),
            },
            Knock::Drop => {}
        }
    });
});
