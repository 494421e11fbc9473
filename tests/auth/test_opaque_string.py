"""OpaqueString (RFC 8265 §4.2), as far as names, realms and passwords need it (RFC 8489 §9.2.2)."""

from __future__ import annotations

import pytest

from ferryman.auth.opaque_string import NotOpaqueStringError, opaque_string
from tests.conformance.clause import clause

# RFC 8265 §4.3, table 4, and the sentences of §4.2.2 that it has no example of.
PREPARED = {
    "ASCII stays as it is": ("correct horse battery staple", "correct horse battery staple"),
    "case stays": ("Correct Horse", "Correct Horse"),
    "letters of any script": ("πßå", "πßå"),
    "symbols": ("Jack of ♦s", "Jack of ♦s"),
    "another space becomes U+0020": ("foo\u1680bar", "foo bar"),
    "an ideographic space too": ("a\u3000b", "a b"),
    "composed": ("cafe\u0301", "caf\u00e9"),
    "width stays": ("\uff21", "\uff21"),
    "compatibility characters stay": ("M\u00aatr\u2168", "M\u00aatr\u2168"),
    "the name of RFC 8489 appendix B": ("マトリックス", "マトリックス"),
}


@clause(
    "RFC 8489 §9.2",
    "names, passwords and the realm are prepared by OpaqueString (RFC 8265)",
    "src/ferryman/auth/opaque_string.py",
)
@pytest.mark.parametrize(("text", "expected"), PREPARED.values(), ids=PREPARED.keys())
def test_a_text_has_its_prepared_form(text: str, expected: str) -> None:
    assert opaque_string(text) == expected


FORBIDDEN = {
    "empty, once prepared by the profile": "\u200b",
    "a control character": "my cat is a \tby",
    "a soft hyphen": "The\u00adMatrix",
    "a joiner out of place": "a\u200db",
    "nothing that Unicode has assigned": "a\u0378",
}


@pytest.mark.parametrize("text", FORBIDDEN.values(), ids=FORBIDDEN.keys())
def test_what_the_profile_forbids_has_none(text: str) -> None:
    with pytest.raises(NotOpaqueStringError) as caught:
        opaque_string(text)
    assert text not in str(caught.value)
    assert caught.value.__context__ is None
