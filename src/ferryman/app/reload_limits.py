"""What of a configuration cannot change while the server runs, and what is said about it."""

from __future__ import annotations

from dataclasses import replace

from ferryman.config import Configuration, ConfigurationError

AT_RESTART = {
    "realm": "realm",
    "offload": "xdp",
    "offload_mode": "xdp-mode",
    "state_dir": "state-dir",
    "log_format": "log-format",
    "log_output": "where the log goes",
    "workers": "relay-threads, cpus",
    "socket_buffer": "sock-buf-size",
    "listening_device": "listening-device",
    "relay_device": "relay-device",
    "daemon": "daemon",
    "pid_file": "pidfile",
    "run_as": "proc-user, proc-group",
}
"""Fields that stay as they were, with their keys. The clients of running calls know the realm, and
their keys are made with it."""

_NOT_COMPARED = {"notices", "file"}


def within_limits(old: Configuration, new: Configuration) -> tuple[Configuration, tuple[str, ...]]:
    """What is to hold of `new`, and a line for each thing that stays as it was.

    Raises ConfigurationError where nothing of it may hold: a server that asks for credentials
    becomes an open relay at a restart only, for the clients of running calls go on to show them.
    """
    if new.no_auth and not old.no_auth:
        raise ConfigurationError(("no-auth: needs a restart where there were credentials",))
    stays = {field for field in AT_RESTART if getattr(old, field) != getattr(new, field)}
    kept = new.model_copy(update={field: getattr(old, field) for field in stays})
    tokens = new.third_party
    if "realm" in stays and tokens is not None and tokens.server_name == new.realm:
        # It is the realm unless somebody said otherwise.
        kept = kept.model_copy(update={"third_party": replace(tokens, server_name=old.realm)})
    return kept, tuple(AT_RESTART[field] for field in AT_RESTART if field in stays)


def changes(old: Configuration, new: Configuration) -> tuple[str, ...]:
    """The names of the fields that differ; never a value."""
    return tuple(
        field.replace("_", "-")
        for field in Configuration.model_fields
        if field not in _NOT_COMPARED and getattr(old, field) != getattr(new, field)
    )
