"""Opening a store: what is recorded in it, what the caller wants, and whether the two agree."""

from __future__ import annotations

import enum
import os
from typing import Any, Final, Literal

from hmem_fast.core import TraceIndex
from hmem_fast.encode import recorded_name, resolve
from hmem_fast.errors import DTypeError, InvalidValueError, ShapeError, StoreNotFoundError
from hmem_fast.memory.encoder_slot import EncoderSlot, check_space
from hmem_fast.memory.keys import KeyRecipe
from hmem_fast.memory.turn_table import TURN_MIGRATIONS, TURN_TABLES
from hmem_fast.store import Durability, Mode, TraceStore
from hmem_fast.types import Encoder

__all__ = ["RECORDED", "Recorded", "open_parts"]

#: The encoder of a new store, if none is named.
DEFAULT_ENCODER = "minilm"


class Recorded(enum.Enum):
    """Type of `RECORDED`, the encoder that a caller means who names none."""

    RECORDED = "the recorded encoder"


RECORDED: Final = Recorded.RECORDED

Wanted = Encoder | str | Literal[Recorded.RECORDED] | None


def open_parts(
    path: str | os.PathLike[str],
    *,
    encoder: Wanted,
    dim: int | None,
    mode: Mode,
    durability: Durability,
    recipe: KeyRecipe | None,
) -> tuple[TraceStore, EncoderSlot, KeyRecipe]:
    """Open or make a store, with the encoder and the recipe that belong to it."""
    if encoder is not None and not isinstance(encoder, str | Recorded | Encoder):
        raise DTypeError(f"encoder: wanted a name, None, or an object with encode(texts), got {type(encoder).__name__}")
    if recipe is not None and not isinstance(recipe, KeyRecipe):
        raise DTypeError(f"recipe: wanted a KeyRecipe, got {type(recipe).__name__}")
    folder = None if path == ":memory:" else os.fspath(path)
    if folder is not None and not folder:
        raise InvalidValueError('path: wanted a folder or ":memory:", got an empty path')
    # A new store's encoder is found before anything is made, so that a missing model leaves no empty store behind.
    is_new = mode == "w" and (folder is None or not os.path.exists(folder))  # noqa: PTH110 - bytes paths are paths too
    slot = _new_slot(encoder, dim) if is_new else None
    store = TraceStore(folder, mode=mode, durability=durability, use_tables=TURN_TABLES, use_migrations=TURN_MIGRATIONS)
    try:
        recorded = store.properties()
        if recorded:
            return store, _recorded_slot(recorded, encoder, dim), _recorded_recipe(recorded, recipe)
        slot = slot or _new_slot(encoder, dim)
        recipe = recipe or KeyRecipe()
        _record(store, slot, recipe)
    except BaseException:
        store.close()
        raise
    return store, slot, recipe


def _record(store: TraceStore, slot: EncoderSlot, recipe: KeyRecipe) -> None:
    if store.mode == "r":
        raise StoreNotFoundError(f'path: the store at {store.path} was never finished; open it once with mode="w"')
    store.set_properties({"encoder": slot.name, "space_id": slot.space_id, "dim": slot.dim, "recipe": recipe.to_json()})


def _new_slot(encoder: Wanted, dim: int | None) -> EncoderSlot:
    if encoder is None:
        if dim is None:
            raise InvalidValueError("dim: wanted the width of the vectors, since there is no encoder that knows it")
        width = TraceIndex(dim).dim  # refuses a width that no index can have
        return EncoderSlot(name=None, encoder=None, space_id=None, dim=width, waived=True)
    wanted = encoder if isinstance(encoder, str | Encoder) else DEFAULT_ENCODER
    name = recorded_name(wanted) if isinstance(wanted, str) else None
    found = resolve(wanted)
    _check_dim(dim, found.dim)
    return EncoderSlot(name=name, encoder=found, space_id=found.space_id, dim=found.dim)


def _recorded_slot(recorded: dict[str, Any], encoder: Wanted, dim: int | None) -> EncoderSlot:
    space_id, held = recorded["space_id"], recorded["dim"]
    _check_dim(dim, held)
    if encoder is RECORDED and space_id is not None:
        return EncoderSlot(name=recorded["encoder"], encoder=None, space_id=space_id, dim=held)
    if not isinstance(encoder, str | Encoder):
        return EncoderSlot(name=None, encoder=None, space_id=space_id, dim=held, waived=True)
    found = resolve(encoder)
    check_space(found, space_id, held)
    name = recorded_name(encoder) if isinstance(encoder, str) else None
    return EncoderSlot(name=name, encoder=found, space_id=space_id, dim=held)


def _recorded_recipe(recorded: dict[str, Any], wanted: KeyRecipe | None) -> KeyRecipe:
    recipe = KeyRecipe.from_json(recorded["recipe"])
    if wanted is not None and wanted != recipe:
        raise InvalidValueError(
            f"recipe: the store was made with {recipe}, got {wanted}; a recipe is fixed for a store"
        )
    return recipe


def _check_dim(wanted: int | None, held: int) -> None:
    if wanted is not None and wanted != held:
        raise ShapeError(f"dim: the memory's vectors are {held} wide, got {wanted!r}")
