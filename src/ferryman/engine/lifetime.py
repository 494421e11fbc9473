"""The LIFETIME arithmetic that Allocate and Refresh share (RFC 8656 §7.2, §8.2)."""

from __future__ import annotations

from ferryman.engine.credential import Credential
from ferryman.engine.settings import Settings
from ferryman.wire.message import Message
from ferryman.wire.registry import Attribute
from ferryman.wire.values import decode_uint32_untrusted


def requested_lifetime(message: Message) -> int | None:
    """Seconds, or None when LIFETIME is absent. Raises Malformed."""
    value = message.first(Attribute.LIFETIME)
    return None if value is None else decode_uint32_untrusted(value)


def granted_lifetime(requested: int | None, settings: Settings, credential: Credential) -> int:
    """At most the maximum; a wish below the default gets the default (RFC 8656 §7.2). Never longer
    than an access token is good (RFC 7635 §9)."""
    lifetime = settings.default_lifetime
    if requested is not None:
        lifetime = max(lifetime, min(requested, settings.maximum_lifetime))
    left = credential.seconds_left
    return lifetime if left is None else min(lifetime, left)
