"""The command line, `hmem`: one file a subcommand, imported only when it is the one that was asked for."""

from __future__ import annotations

from hmem_fast.cli.entry import main

__all__ = ["main"]
