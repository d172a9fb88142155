"""From a command line to an exit status: which subcommand is meant, and how its failures are told.

0 is done, 1 a run that failed, 2 wrong usage or bad input, 130 an interruption by Ctrl-C. A failure is one line on
stderr, ``error: …``; ``--debug`` shows where it came from.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sqlite3
import sys
import traceback
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, redirect_stderr, redirect_stdout, suppress
from types import ModuleType
from typing import NoReturn

from hmem_fast.cli.terminal import drop_output, prepare_streams
from hmem_fast.errors import (
    DTypeError,
    DuplicateIdError,
    EncoderMismatchError,
    HmemError,
    InvalidValueError,
    IsaError,
    ModelNotFoundError,
    NoEncoderError,
    ShapeError,
    StoreManyError,
    StoreNotFoundError,
    UnknownIdError,
)

__all__ = ["main"]

# Each module has `configure(parser)` and `run(arguments) -> int`. The help stands here, so that `hmem --help` need not
# import them.
_COMMANDS: Mapping[str, tuple[str, str]] = {
    "demo": ("demo", "store the shipped conversation, ask ten questions, and see why each answer was found"),
    "doctor": ("doctor", "what this machine has: CPU features, kernels, versions, encoders, paths"),
    "export-encoder": ("export_encoder", "make an encoder folder that needs no torch"),
    "store": ("store", "remember texts"),
    "recall": ("recall", "find what was meant"),
    "forget": ("forget", "forget memories"),
    "purge": ("purge", "make memories vanish from every file of the store"),
    "info": ("info", "what a store holds, and what its files take"),
    "verify": ("verify", "look for damage in a store"),
    "repair": ("repair", "mend what verify finds"),
    "backup": ("backup", "copy a store, also while it is written"),
    "export": ("export_memory", "write all that is in a store as plain files"),
    "import": ("import_memory", "make a store from an export"),
    "eval": ("eval", "measure on public data"),
}

# What the caller can put right by calling otherwise; every other failure is the run's.
_BAD_INPUT = (
    DTypeError,
    DuplicateIdError,
    EncoderMismatchError,
    InvalidValueError,
    IsaError,
    ModelNotFoundError,
    NoEncoderError,
    ShapeError,
    StoreNotFoundError,
    UnknownIdError,
)


class _UsageError(Exception):
    """The command line does not fit its grammar."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise _UsageError(f"{message} (see `{self.prog} --help`)")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line and give its exit status.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments behind the program's name; those of the process by default.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if sys.stdout is None or sys.stderr is None:
        # Started with a closed stream: what nobody can read goes nowhere.
        with open(os.devnull, "w", encoding="utf-8") as nowhere, ExitStack() as streams:  # noqa: PTH123 - no Path needed
            if sys.stdout is None:
                streams.enter_context(redirect_stdout(nowhere))
            if sys.stderr is None:
                streams.enter_context(redirect_stderr(nowhere))
            return main(arguments)
    prepare_streams()
    debug = "--debug" in arguments
    try:
        status = _dispatch(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        drop_output()  # what is still in the buffer must go somewhere when Python ends
        return 0
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - a bug is told in one line too; --debug shows it whole
        message, status = _told(error)
        if debug:
            traceback.print_exc()
        print(f"error: {' '.join(message.split())}", file=sys.stderr)
        with suppress(OSError, ValueError):
            sys.stdout.flush()
    return status


def _dispatch(arguments: list[str]) -> int:
    parser = _Parser(
        prog="hmem",
        description="Associative memory on a CPU: store text, recall what was meant from a noisy or paraphrased cue.",
        epilog="Exit status: 0 done, 1 the run failed, 2 wrong usage or bad input, 130 interrupted.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="store_true", help="print the version and end")
    _add_debug(parser)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)
    chosen = next((word for word in arguments if not word.startswith("-")), None)
    module: ModuleType | None = None
    for name, (module_name, about) in _COMMANDS.items():
        subparser = commands.add_parser(
            name, help=about, description=f"{about[0].upper()}{about[1:]}.", allow_abbrev=False
        )
        if name == chosen:
            module = importlib.import_module(f"hmem_fast.cli.{module_name}")
            module.configure(subparser)
            _add_debug_everywhere(subparser)
    try:
        parsed = parser.parse_args(arguments)
    except SystemExit as ended:  # --help
        return int(ended.code or 0)
    if parsed.version:
        from hmem_fast.core import __version__  # noqa: PLC0415 - only here, so that --help stays quick

        print(f"hmem_fast {__version__}")
        return 0
    if module is None:
        raise _UsageError(f"COMMAND: wanted one of {', '.join(_COMMANDS)}, got none (see `hmem --help`)")
    parsed.argv = ["hmem", *arguments]
    return int(module.run(parsed))


def _add_debug(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--debug", action="store_true", default=argparse.SUPPRESS, help="show the traceback of a failure"
    )


def _add_debug_everywhere(parser: argparse.ArgumentParser) -> None:
    """Let --debug stand behind a subcommand too, and behind a subcommand's own subcommand."""
    _add_debug(parser)
    for action in parser._actions:  # noqa: SLF001 - argparse has no public way to walk its parsers
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - likewise
            for subparser in action.choices.values():
                _add_debug_everywhere(subparser)


def _told(error: BaseException) -> tuple[str, int]:
    """What is said about a failure, and the exit status it has."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", 130
    if isinstance(error, _UsageError):
        return str(error), 2
    if isinstance(error, StoreManyError):
        # What stopped it is its cause: an item that cannot be stored, or a full disk.
        cause = error.__cause__
        return str(error), 2 if cause is None or isinstance(cause, _BAD_INPUT) else 1
    if isinstance(error, HmemError):
        return str(error), 2 if isinstance(error, _BAD_INPUT) else 1
    if isinstance(error, OSError | MemoryError | sqlite3.Error):  # a full disk comes as one of these
        return str(error) or type(error).__name__, 1
    return f"{type(error).__name__}: {error} (a bug in hmem_fast; --debug shows where)", 1
