"""What is wrong with a configuration, in words that never hold a secret."""

from __future__ import annotations


class ConfigurationError(Exception):
    """The server must not start; `problems` has one whole line for each thing to mend."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class BadValueError(ValueError):
    """A value that is not what its key takes; the text says what was expected, not what came."""
