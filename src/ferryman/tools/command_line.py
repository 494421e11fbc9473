"""`ferryman`: its commands, their arguments and their help.

Knows how a configuration is read, and nothing of the server: what `serve` runs is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import click

from ferryman import __version__
from ferryman.config import Configuration, ConfigurationError, load
from ferryman.config.file_reader import find_file
from ferryman.tools import check_config, flags, help_text
from ferryman.tools.abbreviations import whole_flags

_HELP_OPTIONS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@dataclass(frozen=True, slots=True)
class ServeFlags:
    """What `serve` was asked for beyond the configuration.

    `greeting`: print the iceServers JSON with a fresh credential on stdout once ready. `program`:
    the name that the server was started under. `reread`: the configuration from the same file and
    flags once more; raises ConfigurationError.
    """

    greeting: bool = False
    program: str = "ferryman"
    reread: Callable[[], Configuration] | None = field(default=None, compare=False)


Serve = Callable[[Configuration, ServeFlags], int]


def command_line(serve: Serve) -> click.Group:
    """The `ferryman` command; `serve` starts the server and returns the exit status."""
    group = click.Group(
        "ferryman",
        context_settings=_HELP_OPTIONS,
        help="Ferryman, a TURN and STUN server. It reads turnserver.conf as coturn does.",
        epilog="Start with:  ferryman serve",
        no_args_is_help=True,
    )
    _version(group)
    group.add_command(_serve_command(serve))
    group.add_command(_check_command())
    return group


def turnserver_command(serve: Serve) -> click.Command:
    """The `turnserver` command: coturn's own command lines. Without -c it looks for turnserver.conf
    where coturn does."""

    def run(file: Path | None, no_file: bool, greeting: bool, **parameters: object) -> None:
        path = None if no_file else file or _usual_file()
        _run(serve, path, ServeFlags(greeting, "turnserver"), parameters)

    return _version(
        _TurnserverCommand(
            "turnserver",
            context_settings={**_HELP_OPTIONS, "allow_extra_args": True},
            callback=run,
            params=[*_serve_parameters(), *flags.flag_parameters()],
            help="Run Ferryman, a TURN and STUN server, with coturn's command line.\n\n"
            "Without -c, turnserver.conf is looked for where coturn looks. Every key of the file "
            "is a flag as well, also by its beginning where no other key has it; a flag replaces "
            "what the file says about its key.",
            options_metavar="[-c FILE] [-o] [--KEY[=VALUE]]...",
        )
    )


def _usual_file() -> Path | None:
    found = find_file(Path("turnserver.conf"))
    if found is None:
        click.echo("no turnserver.conf was found: the embedded defaults hold", err=True)
    return found


_Command = TypeVar("_Command", bound=click.Command)


def _version(command: _Command) -> _Command:
    message = "ferryman %(version)s"
    return click.version_option(__version__, prog_name="ferryman", message=message)(command)


def _run(serve: Serve, path: Path | None, asked: ServeFlags, keys: Mapping[str, object]) -> None:
    """Read the configuration and serve; ends with the exit status."""
    # The same file later as well, also when it is gone for a moment and another folder has one.
    path = path and (find_file(path) or path).absolute()
    read = partial(load, path, flags.given(keys))
    try:
        configuration = read()
    except ConfigurationError as error:
        check_config.report(error)
        raise SystemExit(1) from None
    raise SystemExit(serve(configuration, replace(asked, reread=partial(read, again=True))))


class _ServeCommand(click.Command):
    """A command whose keys are explained by theme and whose arguments are never repeated."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_options(ctx, formatter)
        help_text.write_keys(formatter, every=bool(ctx.meta.get("ferryman.every_key")))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        rest = super().parse_args(ctx, args)
        if ctx.args and not ctx.resilient_parsing:
            # A slip such as `--user = name:password` must not show what stands behind it.
            raise click.UsageError("unexpected argument behind the flags (not shown)", ctx)
        return rest


class _TurnserverCommand(_ServeCommand):
    """The same, with long flags by their beginnings."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, whole_flags(args))


def _serve_command(serve: Serve) -> click.Command:
    def run(file: Path | None, no_file: bool, greeting: bool, **parameters: object) -> None:
        _run(serve, None if no_file else file, ServeFlags(greeting), parameters)

    return _ServeCommand(
        "serve",
        context_settings={"allow_extra_args": True},
        callback=run,
        params=[*_serve_parameters(), *flags.flag_parameters()],
        help="Run the server until SIGTERM or SIGINT.\n\n"
        "Without -c, defaults hold: UDP and TCP port 3478 on all addresses, public peers only, "
        "and a secret for time-limited credentials that is made on first start. Every key of "
        "turnserver.conf is a flag as well; a flag replaces what the file says about its key.",
        short_help="Run the server.",
        options_metavar="[-c FILE] [--KEY[=VALUE]]...",
    )


def _serve_parameters() -> list[click.Parameter]:
    return [
        click.Option(
            ["-c", "file"],
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="A turnserver.conf; a relative name is looked for where coturn looks.",
        ),
        click.Option(["-n", "no_file"], is_flag=True, help="Read no file, whatever -c says."),
        click.Option(
            ["--greeting"],
            is_flag=True,
            help="Print iceServers with a fresh credential on stdout, ready for a web page.",
        ),
        click.Option(
            ["--help-all"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_show_every_key,
            help="Show all keys, also those that are ignored or not built yet.",
        ),
    ]


def _show_every_key(context: click.Context, parameter: click.Parameter, asked: bool) -> None:
    if asked and not context.resilient_parsing:
        context.meta["ferryman.every_key"] = True
        click.echo(context.get_help())
        context.exit()


def _check_command() -> click.Command:
    def run(file: Path) -> None:
        raise SystemExit(check_config.check(file))

    return click.Command(
        "check-config",
        callback=run,
        params=[click.Argument(["file"], type=click.Path(path_type=Path))],
        help="Say what is wrong with a turnserver.conf, or what it would start, without starting.",
        short_help="Check a turnserver.conf.",
    )
