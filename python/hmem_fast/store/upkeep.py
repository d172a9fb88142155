"""Keeping a truth well: erasing, copying, looking for damage and mending it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hmem_fast.errors import InvalidValueError
from hmem_fast.store.backup import FILE, Progress, back_up, copy_database
from hmem_fast.store.connection import Connection
from hmem_fast.store.erase import Erased, erase
from hmem_fast.store.reading import Reading
from hmem_fast.store.repair import Repaired, free_name, repair
from hmem_fast.store.transaction import Transaction
from hmem_fast.store.verify import Verified, verify

__all__ = ["Upkeep"]


class Upkeep(Reading):
    """What is done to a store as a whole."""

    path: Path | None
    _file: Path | None

    def check_writable(self) -> Connection:
        """Give the connection that writes.

        Raises
        ------
        ReadOnlyError
            If the store was opened for reading.
        """
        raise NotImplementedError

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Write: everything inside is committed when the block ends, nothing of it when the block raises."""
        with self.check_writable().transaction("BEGIN IMMEDIATE") as connection:
            yield Transaction(connection)

    def erase(self, *, wait_seconds: float = 5.0) -> Erased:
        """Make sure that no byte of what was deleted is left in a file of SQLite's.

        The file is written anew, which for a while takes its size again where SQLite keeps temporary files, and in the
        log. Then the log is emptied. The backups of migrations and repairs are removed. It is done after deleting, and
        may be done again at any time.

        Parameters
        ----------
        wait_seconds : float
            How long to wait for readers that are in the middle of something. They keep the log; then the result says
            so, and a later call finishes the work.

        Raises
        ------
        ReadOnlyError
            If the store was opened for reading.
        StoreIOError
            If the disk is too full for the new file; nothing is lost.
        """
        return erase(self.check_writable(), self._file, wait_seconds)

    def backup(self, folder: str | os.PathLike[str], progress: Progress | None = None) -> None:
        """Copy the store as it is now into a folder that holds none, while others read it and its writer writes.

        Parameters
        ----------
        folder : str or os.PathLike
            Made where it is missing. The copy is there when it is complete; a backup that failed is no store.
        progress : callable, optional
            Called with the pages that are copied and those there are.

        Raises
        ------
        InvalidValueError
            If `folder` holds a store, or is a file.
        StoreIOError, OSError
            If the disk is full, or the folder cannot be written.
        """
        with self._apart() as connection:
            back_up(connection, Path(os.fsdecode(folder)).absolute(), progress)

    def verify(self, progress: Progress | None = None) -> Verified:
        """Read everything, and tell what is damaged. Others may read and write meanwhile.

        Parameters
        ----------
        progress : callable, optional
            Called with the rows that were looked at and those there are.
        """
        with self._apart() as connection:
            return verify(connection, progress)

    def repair(self, *, drop: bool = False) -> Repaired:
        """Take out what is damaged, in one transaction and after a copy was made; nothing happens if all is well.

        Indexes are built anew. Keys that are damaged and rows that belong to no memory leave for a quarantine file, and
        links that lead nowhere go. Damaged memories are copied to the quarantine file too.

        Parameters
        ----------
        drop : bool
            Whether damaged memories go as well, instead of raising wherever they are read.

        Raises
        ------
        StoreCorruptError
            If SQLite cannot read its own structure. Then only a backup helps; nothing was changed.
        """
        writer = self.check_writable()
        if self.path is None or self._file is None:
            raise InvalidValueError("path: a store in memory has no file that could be repaired")
        if self.verify().ok:
            return Repaired()
        backup = free_name(self.path, f"{FILE}.repair-{{}}.backup")
        with writer.transaction() as connection:
            copy_database(connection, self.path / backup)
        with self.transaction() as transaction:
            return repair(transaction, self.path, backup, drop=drop)

    @contextmanager
    def _apart(self) -> Iterator[sqlite3.Connection]:
        """Read for a long time without keeping this process's other threads waiting."""
        reader = self.check_open()
        if self._file is None:
            with reader.transaction() as connection:
                yield connection
            return
        with reader.bare():
            pass  # a closed store is refused
        apart = Connection(self._file, write=False)
        try:
            # Where damage was met, SQLite refuses to commit, though nothing was written.
            with apart.transaction(end="ROLLBACK") as connection:
                yield connection
        finally:
            apart.close()
