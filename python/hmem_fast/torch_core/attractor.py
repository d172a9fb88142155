"""Settling on a device."""

from __future__ import annotations

import numpy as np

from hmem_fast.errors import DTypeError, InvalidValueError
from hmem_fast.torch_core import argument
from hmem_fast.torch_core.device import Device, Tensor
from hmem_fast.torch_core.normal_form import normal_form
from hmem_fast.types import FloatArray, Settled

__all__ = ["settle"]

#: Numbers of the patterns that are widened to float64 at once.
_AT_ONCE = 1 << 24


def settle(cue: object, patterns: object, beta: float, steps: int, *, device: object = None) -> Settled:
    """Move a cue to the stored patterns that it resembles, as `hmem_fast.core.settle` does.

    Sums run in float64, in the device's own order, and the state is kept in float32, as in the core. Vector and energy
    agree with the core's to 1e-5, unless the cue lies between two states to come: there, or between patterns that tie
    under an infinite `beta`, rounding decides. It stops early for the core's reasons, a step sooner or later where a
    state repeats but for its last bit.

    Parameters
    ----------
    cue : (d,) float32
        Where to start; scaled to unit length first.
    patterns : (n, d) float32
        At least one row; scaled to unit length first.
    beta : float
        Inverse temperature, above 0.
    steps : int
        Updates at most.
    device : str or torch.device, optional
        Where to compute. Default: torch's default device, the CPU unless ``torch.set_default_device`` was called.

    Returns
    -------
    Settled
        The state, its energy over the patterns, and the updates that were made.

    Raises
    ------
    ShapeError
        If the two widths differ.
    InvalidValueError
        For a zero cue or pattern, no patterns, NaN, infinities, `beta` not above 0, or a device that cannot be used.
    MissingDependencyError
        If PyTorch is not installed.

    Examples
    --------
    >>> settle([0.2, 0.9], np.eye(2, dtype=np.float32), beta=50.0, steps=3, device="cpu").vector.round(3)
    array([0., 1.], dtype=float32)
    """
    target = Device(device, purpose="settling on a device")
    cue = argument.floats(cue, "cue", ("d",))
    patterns = argument.floats(patterns, "patterns", ("n", len(cue)))
    steps = argument.whole(steps, "steps")
    _check_beta(beta)
    if len(patterns) == 0:
        raise InvalidValueError("patterns: wanted at least one row, got none")
    units = target.put(normal_form(patterns, "patterns", zeros=False).units())
    state = target.put(normal_form(cue[None], "cue", zeros=False).units()[0])
    return _settled(state, units, beta, steps, target)


def _settled(state: Tensor, patterns: Tensor, beta: float, steps: int, device: Device) -> Settled:
    """Repeat the update until it changes nothing or leads back; `state` and `patterns` are float32 units."""
    torch = device.torch
    before = None
    made = 0
    similarities = _similarities(patterns, state, device)
    while made < steps:
        following = _update(patterns, similarities, beta, device)
        if following is None:
            break
        made += 1
        at_rest = torch.equal(following, state) or (before is not None and torch.equal(following, before))
        before, state = state, following
        similarities = _similarities(patterns, state, device)
        if at_rest:
            break
    largest = similarities.max()
    pooled = _weights(similarities, beta).sum().log() / beta
    energy = largest if np.isinf(beta) else largest + pooled
    vector: FloatArray = device.fetch(state)
    return Settled(vector, float(energy), made)


def _update(patterns: Tensor, similarities: Tensor, beta: float, device: Device) -> Tensor | None:
    """One update; None where the weighted mean of the patterns is zero."""
    weights = _weights(similarities, beta)
    step = _rows_at_once(patterns)
    mean = sum(w @ rows.double() for w, rows in zip(weights.split(step), patterns.split(step), strict=True))
    norm = device.torch.linalg.vector_norm(mean)
    return (mean / norm).float() if float(norm) > 0.0 else None


def _similarities(patterns: Tensor, state: Tensor, device: Device) -> Tensor:
    wide = state.double()
    return device.torch.cat([rows.double() @ wide for rows in patterns.split(_rows_at_once(patterns))])


def _weights(similarities: Tensor, beta: float) -> Tensor:
    """``exp(beta * (s - max s))``; spelled out for the largest, since infinity times 0 is no number."""
    below = similarities - similarities.max()
    return (beta * below).exp().masked_fill(below == 0.0, 1.0)


def _rows_at_once(patterns: Tensor) -> int:
    return max(1, _AT_ONCE // int(patterns.shape[1]))


def _check_beta(beta: float) -> None:
    if isinstance(beta, bool | str) or not hasattr(beta, "__float__"):
        raise DTypeError(f"beta: wanted a number above 0, got {type(beta).__name__}")
    if not float(beta) > 0.0:
        raise InvalidValueError(f"beta: wanted a number above 0, got {beta:g}")
