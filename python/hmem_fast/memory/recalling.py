"""What a memory is asked: which memories fit a cue, and what a noisy cue is a copy of."""

from __future__ import annotations

from hmem_fast.memory.linked import Linked
from hmem_fast.memory.pipeline import Pipeline
from hmem_fast.memory.result import Completed, Recall
from hmem_fast.memory.where import Where
from hmem_fast.types import FloatArray

__all__ = ["Recalling"]


class Recalling(Linked):
    """The part of a `Memory` that answers cues."""

    def recall(
        self,
        query: str | FloatArray,
        k: int = 5,
        where: Where | None = None,
        explain: bool = False,  # noqa: FBT001, FBT002 - the order of arguments is public
        pipeline: str | Pipeline = "default",
        *,
        spread: bool | None = None,
    ) -> Recall:
        """Give back the `k` memories that fit a question best. Never changes anything.

        Parameters
        ----------
        query : str or (dim,) float array
            A question, a noisy copy, a related text; or a ready vector.
        k : int
            Hits wanted, 1 or more. There are fewer if the memory, the filter or the words leave fewer.
        where : mapping, optional
            Filter, applied before anything is ranked: ``{"speaker": "Ann"}``, ``{"session": ["a", "b"]}``,
            ``{"time": (start, end)}``, or a name from the metadata; all of them must hold.
        explain : bool
            Whether to tell how the answer came about, in ``.explanation``.
        pipeline : str or Pipeline
            ``"default"``, ``"nearest"``, ``"bm25"``, ``"hopfield"``, or an object such as
            ``DefaultPipeline(words_weight=0)``.
        spread : bool, optional
            Whether to go on from the best memories to those that name the same things: `SpreadPipeline`. Left out: no,
            since it helps questions over passages and hurts those over a dialogue (docs/evaluation.md).

        Raises
        ------
        NoEncoderError, ModelNotFoundError, MissingDependencyError
            If the pipeline needs the encoder and it is not at hand.
        """
        self._follow()
        return self._reader.recall(query, k, where=where, explain=explain, pipeline=pipeline, spread=spread)

    def complete(self, cue: str | FloatArray, k: int = 20, *, beta: float = 64.0, steps: int = 3) -> Completed:
        """Complete a noisy or partial cue: let it settle among the closest keys of the `k` nearest memories.

        This is the recall of a modern Hopfield network, in two stages. It gives the pattern that the cue resembles; for
        a ranking of memories use `recall`, which is better at it. Never changes anything.

        Parameters
        ----------
        cue : str or (dim,) float array
            A noisy copy of what is stored, as a text or as a ready vector.
        k : int
            Memories to settle among, 1 or more; also the most hits that are given.
        beta : float
            Inverse temperature, above 0. Large: it comes to rest on one key; small: on a mean of several.
        steps : int
            Updates at most, 0 or more.

        Returns
        -------
        Completed
            The settled vector, its energy, the updates made, and the memories nearest to where it rests.

        Raises
        ------
        NoEncoderError, ModelNotFoundError, MissingDependencyError
            If a text must be encoded and the encoder is not at hand.
        InvalidValueError, DTypeError, ShapeError
            If an argument is not what it should be.

        References
        ----------
        H. Ramsauer et al., "Hopfield Networks is All You Need", 2020 (arXiv:2008.02217), equation 3.

        Examples
        --------
        >>> import numpy as np
        >>> from hmem_fast import Memory
        >>> with Memory.open(":memory:", encoder=None, dim=2) as memory:
        ...     _ = memory.store("east", vector=np.array([1.0, 0.0]))
        ...     _ = memory.store("north", vector=np.array([0.0, 1.0]))
        ...     done = memory.complete(np.array([0.8, 0.3]))
        ...     done.vector.round(3).tolist(), done.hits[0].text
        ([1.0, 0.0], 'east')
        """
        self._follow()
        return self._reader.complete(cue, k, beta=beta, steps=steps)
