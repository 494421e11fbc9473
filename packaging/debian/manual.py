"""Manual pages, printed from the table of keys.

`manual.py ferryman|turnserver` prints one. Knows roff, and nothing of the server.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

from ferryman import __version__
from ferryman.config.option import Option, Section, State
from ferryman.config.table import in_section

FILES = (
    ("/etc/turnserver.conf", "Configuration."),
    ("/etc/turnserver/", "Certificate and key, where certbot's deploy hook puts them."),
    ("/var/lib/ferryman/", "What the server has made for itself."),
    ("/usr/share/doc/ferryman/", "How to run it; every key of the configuration."),
)
SIGNALS = (
    ("SIGTERM", "Close every allocation and exit with 0; with drain-timeout, drain first."),
    ("SIGINT", "Close every allocation and exit with 0."),
    ("SIGHUP", "Reopen the log, and read the whole configuration anew, or change nothing."),
    (
        "SIGUSR1",
        "Drain: no new allocation; exit with 0 when the last one is gone, or after drain-timeout.",
    ),
    ("SIGUSR2", "Read certificate and key again. Running calls stay as they are."),
)


def ferryman() -> str:
    """ferryman(8)"""
    return "\n".join(_ferryman()) + "\n"


def turnserver() -> str:
    """turnserver(1)"""
    return "\n".join(_turnserver()) + "\n"


def _ferryman() -> Iterator[str]:
    yield _head("ferryman", 8)
    yield ".SH NAME\nferryman \\- TURN and STUN server"
    yield ".SH SYNOPSIS"
    yield (
        ".B ferryman serve\n[\\fB\\-c\\fR \\fIFILE\\fR] "
        "[\\fB\\-\\-\\fIKEY\\fR[=\\fIVALUE\\fR]]...\n.br"
    )
    yield ".B ferryman check\\-config\n.I FILE"
    yield ".SH DESCRIPTION"
    yield _roff("Ferryman relays packets for programs that cannot reach each other (RFC 8656).")
    yield _roff("It reads turnserver.conf, the file that coturn reads.")
    yield ".PP\n.B serve\nruns the server in the foreground.\n.B check\\-config"
    yield _roff("says what is wrong with a file, or what it would start, and starts nothing.")
    yield ".PP\nEvery key of the file is a flag as well, and a flag replaces what the file says."
    for section in Section:
        rows = [option for option in in_section(section) if option.state is State.HONOURED]
        if rows:
            yield f".SH {_roff(section.value.upper())}"
            yield from (line for option in rows for line in _key(option))
    yield from _pairs("SIGNALS", SIGNALS)
    yield from _pairs("FILES", FILES)
    yield ".SH EXIT STATUS"
    yield "0 when a signal ended it, 1 when it could not start, 2 for a wrong flag."
    yield ".SH SEE ALSO\n.BR turnserver (1),\n.BR systemctl (1)"


def _turnserver() -> Iterator[str]:
    yield _head("turnserver", 1)
    yield ".SH NAME\nturnserver \\- TURN and STUN server, under the name that coturn has"
    yield ".SH SYNOPSIS\n.B turnserver\n[\\fIFLAGS\\fR]"
    yield ".SH DESCRIPTION"
    yield _roff("The same program as ferryman serve, with coturn's command line.")
    yield ".PP\nIts flags and keys are those of\n.BR ferryman (8)."
    yield from _pairs("FILES", FILES)
    yield ".SH SEE ALSO\n.BR ferryman (8)"


def _head(name: str, section: int) -> str:
    return f'.TH {name.upper()} {section} "" "Ferryman {__version__}"'


def _pairs(title: str, rows: tuple[tuple[str, str], ...]) -> Iterator[str]:
    yield f".SH {title}"
    for name, text in rows:
        yield f".TP\n.B {_roff(name)}\n{_roff(text)}"


def _key(option: Option) -> Iterator[str]:
    short = f", \\fB\\-{option.short}\\fR" if option.short else ""
    value = "" if option.is_switch else f" \\fI{_roff(option.kind.word)}\\fR"
    text = option.meaning + (" (may repeat)" if option.repeatable else "")
    if option.default is not None and not option.is_switch:
        text += f" [{option.default}]"
    yield f".TP\n\\fB{_roff(option.name)}\\fR{short}{value}\n{_roff(text)}"


def _roff(text: str) -> str:
    """Text that roff takes as it is."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", escaped)


if __name__ == "__main__":
    print({"ferryman": ferryman, "turnserver": turnserver}[sys.argv[1]](), end="")
