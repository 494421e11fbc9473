"""What may be sent to those who have proved nothing: over UDP their address may be a victim's.

No answer to them is more than four times as long as the request. Knows no rule of TURN.
"""

from __future__ import annotations

from ferryman.engine.five_tuple import Transport
from ferryman.engine.state import Request

AMPLIFICATION = 4
"""How many times its request's length an unauthenticated answer over UDP may have."""


def fits(answer: bytes, request: Request) -> bool:
    """Whether the answer may go to whoever sent the request. Only UDP has forged sources: a DTLS
    client has shown a cookie, a stream its handshake."""
    if request.five_tuple.transport is not Transport.UDP:
        return True
    return len(answer) <= AMPLIFICATION * len(request.packet)
