"""A torch device, and the way of arrays to it and back. The only file that imports PyTorch."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hmem_fast.errors import InvalidValueError
from hmem_fast.extra import require

__all__ = ["Device", "Tensor"]

#: A ``torch.Tensor``. PyTorch is optional, so its types cannot be named here.
Tensor: TypeAlias = Any


class Device:
    """A device that was tried out.

    Parameters
    ----------
    wanted : str or torch.device, optional
        Default: torch's default device, which is the CPU unless ``torch.set_default_device`` was called.
    purpose : str
        What needs PyTorch, for the message where it is missing.

    Raises
    ------
    MissingDependencyError
        If PyTorch cannot be imported.
    InvalidValueError
        If torch does not know the device, cannot use it here, or has no float64 on it.
    """

    __slots__ = ("name", "torch")

    def __init__(self, wanted: object, *, purpose: str) -> None:
        self.torch: Any = require("torch", extra="torch", purpose=purpose)
        try:
            device = self.torch.get_default_device() if wanted is None else self.torch.device(wanted)
            # AssertionError: torch was built without the device. TypeError: the device lacks float64.
            made = self.torch.zeros(1, dtype=self.torch.float64, device=device).cpu()
        except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise InvalidValueError(
                f"device: wanted one that torch can use here and that has float64, got {str(wanted)!r} ({reason})"
            ) from error
        assert made.item() == 0.0
        self.name = str(device)

    def put(self, array: NDArray[Any]) -> Tensor:
        """Bring an array to the device. On the CPU the memory is shared: the array must not be changed afterwards."""
        return self.torch.from_numpy(array).to(self.name)

    def fetch(self, tensor: Tensor) -> NDArray[Any]:
        """Bring a tensor back; waits until it is computed."""
        array: NDArray[Any] = tensor.cpu().numpy()
        return array

    def at(self, rows: NDArray[np.int64]) -> Tensor:
        """Row numbers as an index into a tensor of the device."""
        return self.put(np.ascontiguousarray(rows))

    def full_precision(self) -> AbstractContextManager[Any]:
        """Shut out an autocast that the caller may have switched on around a search."""
        context: AbstractContextManager[Any] = self.torch.autocast(self.torch.device(self.name).type, enabled=False)
        return context

    def finish(self) -> None:
        """Wait for what was begun, so that another thread's stream may use it."""
        if self.name.startswith("cuda"):
            self.torch.cuda.current_stream(self.name).synchronize()
