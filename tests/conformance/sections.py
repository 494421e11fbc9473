"""The sections of the RFCs that bind a server: each of them has to have a row on the page.

Left out is what speaks to clients alone, what registers numbers, and what explains.
"""

from __future__ import annotations

from typing import Final

BINDING_A_SERVER: Final = {
    "RFC 5780": "6 6.1 7.2 7.3 7.4 7.5 7.6 10",
    "RFC 6062": "5.1 5.2 5.3 5.4 5.5 7",
    "RFC 7635": "6.1 6.2 7 9",
    "RFC 8016": "3.1 3.2 5",
    "RFC 8489": (
        "5 6.2.1 6.2.2 6.2.3 6.3 6.3.1 6.3.2 6.3.3 9.2 9.2.1 9.2.2 9.2.4 10 12 "
        "14 14.1 14.2 14.3 14.4 14.5 14.6 14.7 14.8 14.9 14.10 14.11 14.13 14.14 14.15 14.16 "
        "16.1.1 16.1.2 16.1.3 16.3"
    ),
    "RFC 8656": (
        "5 7.2 8 8.2 9 10.2 11.2 11.3 11.5 12 12.2 12.5 12.6 12.7 13 14 15 18.7 18.8 "
        "21.1.1 21.1.3 21.1.4 21.1.5 21.1.6 21.1.7 21.2.1 21.2.2 21.2.3 21.3.1 21.3.2 21.3.3 21.4"
    ),
}
"""By document, section numbers in the order in which they come."""


def without_a_row(sections: list[str]) -> list[str]:
    """Those of which no row speaks; `sections` as in a `clause`."""
    spoken = set()
    for section in sections:
        document, _, clauses = section.partition(" §")
        spoken |= {(document, clause.strip(" §")) for clause in clauses.split(",")}
    return [
        f"{document} §{number}"
        for document, numbers in BINDING_A_SERVER.items()
        for number in numbers.split()
        if (document, number) not in spoken
    ]
