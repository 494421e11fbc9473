"""Which password algorithms the server offers with a nonce (RFC 8489 §9.2.4, §14.11).

Knows no user and no key.
"""

from __future__ import annotations

from enum import Enum

from ferryman.wire.registry import PasswordAlgorithm
from ferryman.wire.values import encode_password_algorithms


class Offer(Enum):
    """The lists of algorithms, in order of preference.

    `EITHER` is what strangers are shown. `MD5` is for a user of whom there is no more than an MD5
    key: whoever claimed such a name with SHA-256 is shown it.
    """

    EITHER = (PasswordAlgorithm.SHA256, PasswordAlgorithm.MD5)
    MD5 = (PasswordAlgorithm.MD5,)

    @property
    def encoded(self) -> bytes:
        """PASSWORD-ALGORITHMS, to be echoed octet for octet."""
        return _ENCODED[self]

    def algorithm(self, encoded: bytes) -> PasswordAlgorithm | None:
        """The algorithm that this PASSWORD-ALGORITHM names, if it is in the list."""
        found = _ALGORITHMS.get(encoded)
        return found if found in self.value else None


_ENCODED = {offer: encode_password_algorithms(offer.value) for offer in Offer}
_ALGORITHMS = {encode_password_algorithms((one,)): one for one in PasswordAlgorithm}
