"""Third-party authorization (RFC 7635): is it on, and which keys does it have?"""

from __future__ import annotations

from pathlib import Path

from ferryman.auth.access_token import TokenKey
from ferryman.config.chosen import Chosen
from ferryman.config.notices import Findings
from ferryman.config.values import ThirdPartyKeys

_FILES = ("userdb", "db")


def third_party(chosen: Chosen, realm: str, findings: Findings) -> ThirdPartyKeys | None:
    """None while it is off; a problem when it is on and there can be no key."""
    database = _database(chosen, findings)
    keys = [key for _, key in chosen.every("oauth-key", TokenKey)]
    if not chosen.maybe("oauth", bool):
        _say_what_is_idle(chosen, findings)
        return None
    if not keys and database is None and not findings.doubtful & {"oauth-key", *_FILES}:
        text = "expected at least one oauth-key beside it, or userdb"
        findings.problem(text, chosen.where("oauth"), key="oauth")
    name = chosen.maybe("server-name", str) or realm
    return ThirdPartyKeys(server_name=name, keys=tuple(keys), database=database)


def _database(chosen: Chosen, findings: Findings) -> Path | None:
    """One line says how little of it is read; none that repeats it."""
    given = [name for name in _FILES if chosen.maybe(name, str)]
    if not given:
        return None
    findings.warn(
        ", ".join(given),
        "only the table oauth_key is read, and only with oauth; "
        "users, secrets and realms come from this file and the flags",
        [place for name in given for place in chosen.where(name)],
    )
    return Path(chosen.one(given[0], str))


def _say_what_is_idle(chosen: Chosen, findings: Findings) -> None:
    for name in ("oauth-key", "server-name"):
        if chosen.is_given(name):
            findings.warn(name, "no effect without oauth", chosen.where(name))
