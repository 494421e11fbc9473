"""The mark that ties a test to the sentence of an RFC that it pins, and to the rule's place."""

from __future__ import annotations

import pytest

TABLE = "native/flow/src/table/packets.rs"
BINDING = "native/flow/src/binding.rs"
STUN = "native/flow/src/stun.rs"
SEND = "native/flow/src/send.rs"
HEADER = "native/flow/src/header.rs"
STREAM = "native/flow/src/stream.rs"
MESSAGE = "src/ferryman/wire/message.py"
DECISION = "src/ferryman/engine/decision.py"
ADMISSION = "src/ferryman/engine/admission.py"
PROOF = "src/ferryman/engine/proof.py"
ANSWERED = "src/ferryman/engine/answered.py"
ALLOCATE = "src/ferryman/engine/allocate.py"
LIFETIME = "src/ferryman/engine/lifetime.py"
REFRESH = "src/ferryman/engine/refresh.py"
ENDING = "src/ferryman/engine/ending.py"
PERMISSION = "src/ferryman/engine/create_permission.py"
CHANNEL = "src/ferryman/engine/channel_bind.py"


def clause(section: str, sentence: str, where: str) -> pytest.MarkDecorator:
    """`section` as in `RFC 8656 §7.2`; `sentence`: the rule in our words; `where`: the file that
    keeps it, or the name of its row in `engine/refusals.py`."""
    return pytest.mark.clause(section, sentence, where)
