"""A DTLS client's side of a datagram socket, for tests: OpenSSL's machine, driven by hand
(RFC 6347).

Stands where a socket would in `TurnClient`. It trusts any certificate.
"""

from __future__ import annotations

import contextlib
import socket
import time
from typing import Any

from OpenSSL import SSL

from tests.turn_client import TIMEOUT, TurnClient

LONGEST = 65_536
STEP = 0.2
"""Seconds after which a flight that had no answer is sent again."""


class DtlsSocket:
    """A connected UDP socket with DTLS 1.2 over it; one message is one record."""

    def __init__(self, plain: socket.socket) -> None:
        context = SSL.Context(SSL.DTLS_METHOD)
        context.set_verify(SSL.VERIFY_NONE)
        self._plain = plain
        self._machine = SSL.Connection(context, None)
        self._machine.set_connect_state()
        self._timeout = TIMEOUT
        self._shake_hands()

    def _shake_hands(self) -> None:
        deadline = time.monotonic() + TIMEOUT
        self._plain.settimeout(STEP)
        while time.monotonic() < deadline:
            try:
                self._machine.do_handshake()
            except SSL.WantReadError:
                self._pass_on()
                with contextlib.suppress(TimeoutError):
                    self._machine.bio_write(self._plain.recv(LONGEST))
                    continue
                self._machine.DTLSv1_handle_timeout()
            else:
                self._pass_on()
                return
        raise TimeoutError("the DTLS handshake has not ended")

    def _pass_on(self) -> None:
        with contextlib.suppress(SSL.WantReadError):
            while True:
                self._plain.send(self._machine.bio_read(LONGEST))

    def sendall(self, packet: bytes) -> None:
        """Raises ConnectionError after `close`."""
        try:
            self._machine.send(packet)
        except SSL.Error as error:
            raise ConnectionAbortedError(str(error)) from error
        self._pass_on()

    def recv(self, limit: int) -> bytes:
        """The next message; b"" when the server has said that it is over."""
        self._plain.settimeout(self._timeout)
        while True:
            try:
                return self._machine.recv(limit)
            except SSL.WantReadError:
                self._machine.bio_write(self._plain.recv(LONGEST))
            except SSL.ZeroReturnError:
                return b""

    def settimeout(self, seconds: float) -> None:
        self._timeout = seconds

    def getsockname(self) -> Any:
        return self._plain.getsockname()

    def close(self) -> None:
        """Says so first (RFC 6347 §4.1: close_notify)."""
        with contextlib.suppress(SSL.Error, OSError):
            self._machine.shutdown()
            self._pass_on()
        self._plain.close()


def over_dtls(client: TurnClient) -> TurnClient:
    """The same client, with its datagrams inside DTLS from now on."""
    client.socket = DtlsSocket(client.socket)  # type: ignore[assignment]
    return client
