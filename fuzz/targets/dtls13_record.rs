//! No datagram of a stranger ends an association over DTLS 1.3, or is taken for a message of it.
#![no_main]

use std::cell::RefCell;

use ferryman_dtls::{Association, Heard, LONGEST_MESSAGE};
use ferryman_fuzz::established;
use libfuzzer_sys::fuzz_target;

thread_local! {
    static PAIR: RefCell<(Association, Association)> = RefCell::new(established());
    static ROOM: RefCell<Vec<u8>> = RefCell::new(vec![0; LONGEST_MESSAGE]);
}

fuzz_target!(|datagram: &[u8]| {
    PAIR.with_borrow_mut(|(client, server)| {
        ROOM.with_borrow_mut(|room| {
            server.receive(datagram);
            assert_eq!(server.poll(room), Heard::Nothing);
            assert!(client.send(b"hello"));
            client.take_datagrams(|good| server.receive(good));
            assert_eq!(server.poll(room), Heard::Message(5));
            server.take_datagrams(|_| {});
        });
    });
});
