//! However a stream is cut, its frames lie in the buffer, make progress and keep to the limit.
#![no_main]

use ferryman_flow::stream::{next, Frame};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u16, &[u8])| {
    let (limit, octets) = (usize::from(input.0), input.1);
    let mut at = 0;
    loop {
        match next(&octets[at..], limit) {
            Frame::Complete {
                message, consumed, ..
            } => {
                assert!(message.end <= consumed && consumed <= limit);
                assert!(consumed > 0 && at + consumed <= octets.len());
                // The same frame, wherever the stream was cut before its end.
                for cut in [1, consumed / 2, consumed - 1] {
                    let early = next(&octets[at..at + cut], limit);
                    assert!(cut == consumed || early == Frame::NeedMore, "{early:?}");
                }
                at += consumed;
            }
            Frame::NeedMore | Frame::Bad => break,
        }
    }
});
