"""What is compared: BM25 over the same words, with k1 = 1.2 and b = 0.75.

All get the words that `hmem_fast.core.analyze` gives, so that they answer the same question. The others are given a
query's words ready-made; TextIndex is given its text and cuts it within the time that is taken.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import bm25s
import numpy as np
import tantivy

from hmem_fast.core import TextIndex

__all__ = ["BASELINE", "BM25S", "K1", "TANTIVY", "B", "Method", "Query", "build"]

K1, B = 1.2, 0.75
BASELINE, BM25S, TANTIVY = "TextIndex", "bm25s", "tantivy"

Found = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Query:
    """A question: its text, and its words."""

    text: str
    words: list[str]


@dataclass(frozen=True)
class Method:
    """An index that was built.

    Attributes
    ----------
    name : str
        How it is called in tables, with what was chosen.
    search : callable
        Takes queries and k; gives whatever it is fastest to give. One query is one call.
    found : callable
        Takes what `search` gave; gives rows and scores, best first, (queries, k) each.
    nbytes : int
        What it holds.
    batches : bool
        Whether `search` takes several queries in one call.
    """

    name: str
    search: Callable[[Sequence[Query], int], Any]
    found: Callable[[Any], Found]
    nbytes: int
    batches: bool = True


def build(name: str, texts: Sequence[str], words: Sequence[list[str]]) -> Method:
    """Build the index of that name; a caller that wants to know how long it takes has the words ready."""
    return {BASELINE: lambda: _own(texts), BM25S: lambda: _bm25s(words), TANTIVY: lambda: _tantivy(words)}[name]()


def _own(texts: Sequence[str]) -> Method:
    index = TextIndex(k1=K1, b=B)
    index.add(texts)
    return Method(
        name=BASELINE,
        search=lambda queries, k: index.search([query.text for query in queries], k),
        found=lambda hits: (hits.ids, hits.scores),
        nbytes=index.nbytes,
    )


def _bm25s(words: Sequence[list[str]]) -> Method:
    # "atire" has (k1 + 1) in it, "lucene" the logarithm of 1 + …: together they are our formula.
    backend = "numba" if find_spec("numba") else "numpy"
    index = bm25s.BM25(k1=K1, b=B, method="atire", idf_method="lucene", backend=backend)
    index.index(words, show_progress=False)
    arrays = (index.scores["data"], index.scores["indices"], index.scores["indptr"])
    return Method(
        name=f"{BM25S} ({backend})",
        search=lambda queries, k: index.retrieve([query.words for query in queries], k=k, show_progress=False),
        found=lambda hits: (hits.documents, hits.scores),
        nbytes=sum(array.nbytes for array in arrays),
    )


def _tantivy(words: Sequence[list[str]]) -> Method:
    schema = tantivy.SchemaBuilder()
    schema.add_text_field("words", tokenizer_name="cut", index_option="freq")
    schema = schema.build()
    folder = tempfile.TemporaryDirectory(prefix="words-")
    index = tantivy.Index(schema, path=folder.name)
    cut = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.regex(r"[^\x00]+")).build()
    index.register_tokenizer("cut", cut)
    # One thread and room for all make one segment, in which rows keep their order.
    writer = index.writer(heap_size=1_000_000_000, num_threads=1)
    for row in words:
        writer.add_document(tantivy.Document(words="\0".join(row)))
    writer.commit()
    writer.wait_merging_threads()
    index.reload()
    searcher = index.searcher()
    assert (searcher.num_segments, searcher.num_docs) == (1, len(words)), "rows are not those that were added"

    def search(queries: Sequence[Query], k: int) -> list[list[tuple[float, Any]]]:
        (query,) = queries
        terms = [tantivy.Query.term_query(schema, "words", word, index_option="freq") for word in query.words]
        asked = tantivy.Query.boolean_query([(tantivy.Occur.Should, term) for term in terms])
        _ = folder  # lives as long as the index does
        return [searcher.search(asked, k, count=False).hits]

    def found(answers: list[list[tuple[float, Any]]]) -> Found:
        rows = np.array([[address.doc for _, address in hits] for hits in answers], np.int64)
        return rows, np.array([[score for score, _ in hits] for hits in answers], np.float32)

    held = sum(path.stat().st_size for path in Path(folder.name).iterdir())
    return Method(name=TANTIVY, search=search, found=found, nbytes=held, batches=False)
