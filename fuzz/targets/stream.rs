//! However a stream is cut, its frames lie in the buffer, make progress and keep to the limit.
#![no_main]

use ferryman_flow::stream::{connection_bind_untrusted, next, Frame};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u16, &[u8])| {
    let (limit, mut octets) = (usize::from(input.0), input.1);
    while let Frame::Complete {
        message, consumed, ..
    } = next(octets, limit)
    {
        assert!(message.end <= consumed && consumed <= limit);
        assert!(consumed > 0 && consumed <= octets.len());
        if let Some(transaction_id) = connection_bind_untrusted(&octets[message.clone()]) {
            assert_eq!(transaction_id, octets[8..20]);
        }
        // Cut before its end, the frame is not taken.
        for cut in [1, consumed / 2, consumed - 1] {
            assert_eq!(next(&octets[..cut], limit), Frame::NeedMore);
        }
        octets = &octets[consumed..];
    }
});
