//! What an interface can do with packets of a program, as the kernel tells over generic netlink
//! (family `netdev`, since Linux 6.3).
//!
//! A packet sent to an interface that cannot send it is lost, and nobody is told.

use std::io::{self, Read, Write};

use socket2::{Domain, Protocol, Socket, Type};

/// The interface sends packets that another one received (NETDEV_XDP_ACT_NDO_XMIT).
const SENDS: u64 = 4;

/// `nlmsghdr` and `genlmsghdr`.
const HEADERS: usize = 16 + 4;
const REQUEST: u16 = 1;
/// The family that knows the others' numbers, its command and attributes.
const CONTROL: (u16, u8) = (16, 3);
const FAMILY_NUMBER: u16 = 1;
const FAMILY_NAME: u16 = 2;
/// The family `netdev`: its command and attributes.
const GET_DEVICE: u8 = 1;
const DEVICE_INDEX: u16 = 1;
const DEVICE_FEATURES: u16 = 3;

/// Whether an interface sends what a program redirects to it. An error also where the kernel does
/// not tell.
pub(crate) fn sends(interface: u32) -> io::Result<bool> {
    let mut socket = Socket::new(
        Domain::from(libc::AF_NETLINK),
        Type::RAW,
        Some(Protocol::from(libc::NETLINK_GENERIC)),
    )?;
    let family = ask(
        &mut socket,
        CONTROL,
        FAMILY_NAME,
        b"netdev\0",
        FAMILY_NUMBER,
    )?;
    let family = u16::from_ne_bytes(first(&family)?);
    let device = (family, GET_DEVICE);
    let index = interface.to_ne_bytes();
    let features = ask(&mut socket, device, DEVICE_INDEX, &index, DEVICE_FEATURES)?;
    Ok(u64::from_ne_bytes(first(&features)?) & SENDS != 0)
}

/// One question with one attribute; returns the value of one attribute of the answer.
fn ask(
    socket: &mut Socket,
    (family, command): (u16, u8),
    attribute: u16,
    value: &[u8],
    wanted: u16,
) -> io::Result<Vec<u8>> {
    let mut message = Vec::with_capacity(64);
    let length = 4 + value.len();
    message.extend(((HEADERS + length.next_multiple_of(4)) as u32).to_ne_bytes());
    message.extend(family.to_ne_bytes());
    message.extend(REQUEST.to_ne_bytes());
    message.extend([0; 8]);
    message.extend([command, 1, 0, 0]);
    message.extend((length as u16).to_ne_bytes());
    message.extend(attribute.to_ne_bytes());
    message.extend(value);
    message.resize(message.len().next_multiple_of(4), 0);
    socket.write_all(&message)?;
    let mut answer = vec![0; 8192];
    let length = socket.read(&mut answer)?;
    find(&answer[..length], wanted)
}

/// The value of an attribute in an answer; what the kernel says instead of an answer is an error.
fn find(answer: &[u8], wanted: u16) -> io::Result<Vec<u8>> {
    let kind = answer.get(4..6).ok_or(io::ErrorKind::InvalidData)?;
    if kind == (libc::NLMSG_ERROR as u16).to_ne_bytes() {
        let error = i32::from_ne_bytes(first(answer.get(16..).unwrap_or_default())?);
        return Err(io::Error::from_raw_os_error(-error));
    }
    let mut rest = answer.get(HEADERS..).unwrap_or_default();
    while rest.len() >= 4 {
        let length = usize::from(u16::from_ne_bytes([rest[0], rest[1]]));
        let value = rest.get(4..length).ok_or(io::ErrorKind::InvalidData)?;
        if u16::from_ne_bytes([rest[2], rest[3]]) == wanted {
            return Ok(value.to_vec());
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Err(io::ErrorKind::NotFound.into())
}

fn first<const N: usize>(octets: &[u8]) -> io::Result<[u8; N]> {
    let octets = octets.first_chunk().copied();
    octets.ok_or_else(|| io::ErrorKind::InvalidData.into())
}
