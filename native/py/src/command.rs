//! Commands as Python passes them: a tuple whose first item says which.

use ferryman_flow::Change;
use ferryman_udp::Command;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::address::{address_of, family_of, five_tuple_of, ip_of, RawFiveTuple};

type Octets<'py> = Bound<'py, PyBytes>;

/// Reads a command; TypeError, ValueError or OverflowError for what is none.
pub(crate) fn command_of(raw: &Bound<'_, PyTuple>) -> PyResult<Command> {
    match raw.get_item(0)?.extract::<u8>()? {
        0 => reply(raw),
        1 => open(raw).map(Command::Change),
        2 => extend(raw).map(Command::Change),
        3 => close(raw).map(Command::Change),
        4 => permit(raw).map(Command::Change),
        5 => bind_channel(raw).map(Command::Change),
        6 => add_relayed(raw).map(Command::Change),
        7 => move_client(raw).map(Command::Change),
        8 => connect(raw),
        9 => join(raw),
        10 => close_connection(raw),
        11 => open_tcp(raw),
        12 => extend_relayed(raw).map(Command::Change),
        13 => close_relayed(raw).map(Command::Change),
        14 => leave(raw).map(Command::Change),
        _ => Err(PyValueError::new_err("no such command")),
    }
}

fn reply(raw: &Bound<'_, PyTuple>) -> PyResult<Command> {
    let (_, five_tuple, message): (u8, RawFiveTuple<'_>, Octets<'_>) = raw.extract()?;
    Ok(Command::Reply {
        five_tuple: five_tuple_of(&five_tuple)?,
        message: message.as_bytes().to_vec(),
    })
}

/// Word, allocation, 5-tuple, bound IP and port, advertised IP and port, expires_at, bytes/s.
type Open<'py> = (
    u8,
    u64,
    RawFiveTuple<'py>,
    Octets<'py>,
    u16,
    Octets<'py>,
    u16,
    u64,
    u64,
);

fn open(raw: &Bound<'_, PyTuple>) -> PyResult<Change> {
    let (_, allocation, five_tuple, bound_ip, bound_port, ip, port, expires_at, bytes_per_second): Open<'_> =
        raw.extract()?;
    Ok(Change::Open {
        allocation,
        five_tuple: five_tuple_of(&five_tuple)?,
        bound: address_of(bound_ip.as_bytes(), bound_port)?,
        advertised: address_of(ip.as_bytes(), port)?,
        expires_at,
        bytes_per_second,
    })
}

fn extend(raw: &Bound<'_, PyTuple>) -> PyResult<Change> {
    let (_, allocation, expires_at): (u8, u64, u64) = raw.extract()?;
    Ok(Change::Extend {
        allocation,
        expires_at,
    })
}

fn close(raw: &Bound<'_, PyTuple>) -> PyResult<Change> {
    let (_, allocation): (u8, u64) = raw.extract()?;
    Ok(Change::Close { allocation })
}

fn permit(raw: &Bound<'_, PyTuple>) -> PyResult<Change> {
    type Permit<'py> = (u8, u64, Octets<'py>, bool, u64);
    let (_, allocation, peer_ip, relayed_only, expires_at): Permit<'_> = raw.extract()?;
    Ok(Change::Permit {
        allocation,
        peer_ip: ip_of(peer_ip.as_bytes())?,
        relayed_only,
        expires_at,
    })
}

fn bind_channel(raw: &Bound<'_, PyTuple>) -> PyResult<Change> {
    type BindChannel<'py> = (u8, u64, u16, Octets<'py>, u16, bool, u64);
    let (_, allocation, number, ip, port, relayed_only, expires_at): BindChannel<'_> =
        raw.extract()?;
    Ok(Change::BindChannel {
        allocation,
        number,
        peer: address_of(ip.as_bytes(), port)?,
        relayed_only,
        expires_at,
    })
}

fn add_relayed(raw: &Bound<'_, PyTuple>) -> PyResult<Change> {
    type Added<'py> = (u8, u64, Octets<'py>, u16, Octets<'py>, u16, u64);
    let (_, allocation, bound_ip, bound_port, ip, port, expires_at): Added<'_> = raw.extract()?;
    Ok(Change::AddRelayed {
        allocation,
        bound: address_of(bound_ip.as_bytes(), bound_port)?,
        advertised: address_of(ip.as_bytes(), port)?,
        expires_at,
    })
}

fn extend_relayed(raw: &Bound<'_, PyTuple>) -> PyResult<Change> {
    let (_, allocation, family, expires_at): (u8, u64, u8, u64) = raw.extract()?;
    Ok(Change::ExtendRelayed {
        allocation,
        family: family_of(family)?,
        expires_at,
    })
}

fn close_relayed(raw: &Bound<'_, PyTuple>) -> PyResult<Change> {
    let (_, allocation, family): (u8, u64, u8) = raw.extract()?;
    Ok(Change::CloseRelayed {
        allocation,
        family: family_of(family)?,
    })
}

fn move_client(raw: &Bound<'_, PyTuple>) -> PyResult<Change> {
    let (_, allocation, five_tuple, until): (u8, u64, RawFiveTuple<'_>, u64) = raw.extract()?;
    Ok(Change::Move {
        allocation,
        five_tuple: five_tuple_of(&five_tuple)?,
        until,
    })
}

fn leave(raw: &Bound<'_, PyTuple>) -> PyResult<Change> {
    let (_, allocation, five_tuple): (u8, u64, RawFiveTuple<'_>) = raw.extract()?;
    Ok(Change::Leave {
        allocation,
        five_tuple: five_tuple_of(&five_tuple)?,
    })
}

fn connect(raw: &Bound<'_, PyTuple>) -> PyResult<Command> {
    type Connect<'py> = (u8, u64, u64, Octets<'py>, u16, bool);
    let (_, connection, allocation, ip, port, relayed_only): Connect<'_> = raw.extract()?;
    Ok(Command::Connect {
        connection,
        allocation,
        peer: address_of(ip.as_bytes(), port)?,
        relayed_only,
    })
}

fn join(raw: &Bound<'_, PyTuple>) -> PyResult<Command> {
    let (_, connection, five_tuple): (u8, u64, RawFiveTuple<'_>) = raw.extract()?;
    Ok(Command::Join {
        connection,
        five_tuple: five_tuple_of(&five_tuple)?,
    })
}

fn close_connection(raw: &Bound<'_, PyTuple>) -> PyResult<Command> {
    let (_, connection): (u8, u64) = raw.extract()?;
    Ok(Command::CloseConnection { connection })
}

fn open_tcp(raw: &Bound<'_, PyTuple>) -> PyResult<Command> {
    let (_, allocation, five_tuple, bound_ip, bound_port, ip, port, expires_at, bytes_per_second): Open<'_> =
        raw.extract()?;
    Ok(Command::OpenTcp {
        allocation,
        five_tuple: five_tuple_of(&five_tuple)?,
        bound: address_of(bound_ip.as_bytes(), bound_port)?,
        advertised: address_of(ip.as_bytes(), port)?,
        expires_at,
        bytes_per_second,
    })
}
