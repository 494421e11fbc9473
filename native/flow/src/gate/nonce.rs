//! Stateless nonces (RFC 8489 §9.2), as the engine issues them: the cookie, and in base64 the time
//! of issue and an HMAC over it and the client's transport address.

use std::net::IpAddr;

use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::Engine;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::SECOND;
use crate::FiveTuple;

const COOKIE: usize = 13;
const STAMP: usize = 4;
const SEAL: usize = 10;
/// A nonce has so many characters: the cookie, and 14 octets in base64.
pub(super) const NONCE: usize = 32;
/// A decoy has so many: 6 octets in base64.
pub(super) const DECOY: usize = 8;
const DECOY_SEAL: usize = 6;
/// 31 bits of seconds, for they have to fit; then they begin anew.
const SECONDS: u64 = 1 << 31;
/// Seconds that the clock of a server that shares the key may be ahead.
const SKEW: u64 = 60;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

/// What the server's nonces are made with; its key is never shown.
#[derive(Clone)]
pub struct Nonces {
    cookie: [u8; COOKIE],
    mac: Hmac<Sha256>,
    ahead: u64,
}

/// A nonce of ours in the hands of the client that it was given to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Issued {
    /// It came with MD5 alone.
    pub(super) is_md5: bool,
    /// How long ago, in seconds.
    pub(super) age: u64,
}

impl Nonces {
    /// `cookie` is what each of them begins with: the security features are in it. `key` is the
    /// HMAC's, of any length; `ahead`: how far the clock of the nonces is ahead of `now`, ns. `None` for a
    /// cookie that is not of 13 characters.
    pub fn new(cookie: &[u8], key: &[u8], ahead: u64) -> Option<Self> {
        let cookie = cookie.try_into().ok()?;
        let mac = Hmac::new_from_slice(key).ok()?;
        Some(Self { cookie, mac, ahead })
    }

    pub(super) fn issue(&self, client: &FiveTuple, is_md5: bool, now: u64) -> [u8; NONCE] {
        let stamp = ((self.second(now) << 1) as u32 | u32::from(is_md5)).to_be_bytes();
        let mut plain = [0; STAMP + SEAL];
        plain[..STAMP].copy_from_slice(&stamp);
        plain[STAMP..].copy_from_slice(&self.seal(&[&stamp], client)[..SEAL]);
        let mut nonce = [0; NONCE];
        nonce[..COOKIE].copy_from_slice(&self.cookie);
        encode(&plain, &mut nonce[COOKIE..]);
        nonce
    }

    /// What is always stale, where a nonce has no room.
    pub(super) fn decoy(&self, client: &FiveTuple, now: u64) -> [u8; DECOY] {
        let stamp = (self.second(now) as u32).to_be_bytes();
        let mut decoy = [0; DECOY];
        let seal = self.seal(&[b"decoy", &stamp], client);
        encode(&seal[..DECOY_SEAL], &mut decoy);
        decoy
    }

    /// What the nonce was issued with, if it was to this client.
    pub(super) fn read_untrusted(
        &self,
        nonce: &[u8],
        client: &FiveTuple,
        now: u64,
    ) -> Option<Issued> {
        let text = nonce.strip_prefix(&self.cookie)?;
        let mut plain = [0; STAMP + SEAL];
        if nonce.len() != NONCE || BASE64.decode_slice(text, &mut plain) != Ok(plain.len()) {
            return None;
        }
        let (stamp, seal) = plain.split_at(STAMP);
        self.mac(&[stamp], client)
            .verify_truncated_left(seal)
            .ok()?;
        let number = u32::from_be_bytes([stamp[0], stamp[1], stamp[2], stamp[3]]);
        Some(Issued {
            is_md5: number & 1 == 1,
            age: self.age(u64::from(number >> 1), now),
        })
    }

    fn second(&self, now: u64) -> u64 {
        now.wrapping_add(self.ahead) / SECOND % SECONDS
    }

    fn age(&self, second: u64, now: u64) -> u64 {
        let age = (self.second(now) + SECONDS - second) % SECONDS;
        if age < SECONDS - SKEW {
            age
        } else {
            0
        }
    }

    fn seal(&self, sealed: &[&[u8]], client: &FiveTuple) -> [u8; 32] {
        self.mac(sealed, client).finalize().into_bytes().into()
    }

    fn mac(&self, sealed: &[&[u8]], client: &FiveTuple) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        for part in sealed {
            mac.update(part);
        }
        let (transport, port) = (client.transport.number(), client.client.port());
        mac.update(format!("{transport},{port},").as_bytes());
        match client.client.ip() {
            IpAddr::V4(ip) => mac.update(&ip.octets()),
            IpAddr::V6(ip) => mac.update(&ip.octets()),
        }
        mac
    }
}

fn encode(octets: &[u8], text: &mut [u8]) {
    // The callers' rooms are as long as it takes.
    let _ = BASE64.encode_slice(octets, text);
}
