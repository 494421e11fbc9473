"""turnserver.conf and the same names as flags, read into one frozen value.

The field's own language and no second format. Knows every name of coturn 4.17, says what is not
built yet, and collects all mistakes before it reports any. Starts nothing and writes nothing;
only `state_secret` and `state_certificate`, when called, make a file.
"""

from ferryman.config.configuration import Configuration
from ferryman.config.load import load
from ferryman.config.notices import Notice, Severity
from ferryman.config.problems import ConfigurationError
from ferryman.config.values import (
    ExternalAddress,
    LogFormat,
    LogLevel,
    StaticUser,
)

__all__ = [
    "Configuration",
    "ConfigurationError",
    "ExternalAddress",
    "LogFormat",
    "LogLevel",
    "Notice",
    "Severity",
    "StaticUser",
    "load",
]
