"""OpaqueString preparation of names, realms and passwords (RFC 8265 §4.2, RFC 8489 §9.2.2).

Knows no username from the wire: whoever sends one has prepared it already (RFC 8489 §14.3).
"""

from __future__ import annotations


class NotOpaqueStringError(ValueError):
    """The text holds a character that OpaqueString does not let through."""


def opaque_string(text: str) -> str:
    """The prepared form: other spaces become U+0020, the rest is NFC; case and width stay.

    Raises NotOpaqueStringError. Printable ASCII is its own prepared form.
    """
    if text.isascii() and text.isprintable():
        return text
    # Its tables take a moment to load, and hardly any configuration needs them.
    from precis_i18n import get_profile

    try:
        return str(get_profile("OpaqueString").enforce(text))
    except UnicodeEncodeError as error:
        reason = error.reason
    # Raised out here, so that no traceback goes on to the error that holds a password.
    raise NotOpaqueStringError(reason)
