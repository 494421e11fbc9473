"""The one exception that reading bytes from outside may raise (RFC 8489 §6.3, RFC 8656 §12.6).

Does not know what the reader does about it: drop, refuse or close.
"""

from __future__ import annotations


class Malformed(Exception):
    """The bytes lie: they are not what their own header says, or not this protocol at all.

    The text says which rule they break and never repeats their content.
    """
