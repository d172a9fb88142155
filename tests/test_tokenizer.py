"""The tokenizer against the package tokenizers: the same ids, from every text."""

from __future__ import annotations

import csv
import functools
import io
import itertools
import json
import lzma
import os
import subprocess
import sys
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hmem_fast import core
from hmem_fast.encode.text import MAX_CHARACTERS
from hmem_fast.encode.tokenizer import Tokenizer
from hmem_fast.errors import DTypeError, InvalidValueError, ModelError

tokenizers = pytest.importorskip("tokenizers", reason="it says what the ids should be")

TEXTS = int(os.environ.get("HMEM_TEXTS", "3000"))
"""How many texts of the data sets are compared; a million are all of them."""

MAX_LENGTH = 256

HARD = {
    "nothing": "",
    "white space": " \t\n\r\x0b\x0c\x85\u00a0\u1680\u2003\u2028\u2029\u202f\u205f\u3000",
    "emoji": "👍🎉👩‍👩‍👧 🏳️‍🌈🇩🇪 ☎︎ 1️⃣ 🤷🏽‍♀️ done",
    "Chinese": "我们下周去北京出差。𠀀𪜀𫝀𫠠豈丽㐀",
    "Japanese and Korean": "東京タワー が ガ ｶﾞ 한국어 \u1112\u1161\u11ab",
    "accents, composed": "Ünïcödé naïve café Ångström Đặng ŁÓDŹ İstanbul",
    "accents, decomposed": unicodedata.normalize("NFD", "Ünïcödé naïve café Ångström Đặng ŁÓDŹ İstanbul"),
    "controls": "".join(map(chr, range(32))) + "a\x00b\x07c\x1bd\x7fe\x80f\x9fg",
    "a combining storm": "z" + "\u0300\u0323\u0489\u20dd" * 500 + "a" + "\u0301" * 2000 + "b",
    "right to left": "مرحبا بالعالم שָׁלוֹם עוֹלָם \u202eabc\u202c \u200fx",
    "zero width": "a\u200bb\u200cc\u200dd\ufeffe\u2060f\u00adg",
    "private use and noncharacters": "a\ue000b\U000f0000c\U0010fffdd\ufffee\uffff\ufdd0",
    "replacement character": "a\ufffdb \ufffd",
    "long words": "x" * 99 + " " + "x" * 100 + " " + "x" * 101 + " " + "é" * 100 + " " + "e\u0301" * 100,
    "special tokens": "[CLS] [SEP][MASK] [PAD]x[UNK] [cls] [SEP ] [ SEP]",
    "punctuation": "don't -- stop!? $5.00 @home #1 ~^`|<>= “quoted” «so» …—–·•",
    "mathematics and forms": "ﬁ ½ ℌ 𝔥𝖎 ①Ⅷ ™ ª ſ ß ẞ ǆ",
    "the longest pieces": "antidisestablishmentarianism telecommunications internationalization",
    "more tokens than fit": "It is not that I dislike him. " * 100,
    "exactly as many as fit": "word " * (MAX_LENGTH - 2),
    "one too many": "word " * (MAX_LENGTH - 1),
    "one too many pieces of a word": "word " * (MAX_LENGTH - 3) + "cats1",
}

ODD = "aB1é\u0301ß你😀\u200d\u200b\ufeff\x00\t\n \u3000.,!'[]#$\ue000\U000e0001مש\u0e33한\ufffd\u0130"

MIXED = st.one_of(
    st.text(),
    st.text(ODD),
    st.lists(st.sampled_from([*HARD.values(), "[SEP]", "##s", "Caf\u00e9s", "unaffable"])).map("".join),
    st.lists(st.text(ODD, max_size=4) | st.sampled_from(["[CLS]", "the", "running", " "])).map("".join),
)


@pytest.fixture(scope="module")
def minilm_json(minilm_source) -> bytes:
    return (minilm_source / "tokenizer.json").read_bytes()


@pytest.fixture(scope="module")
def ours(minilm_json) -> core.Tokenizer:
    return core.Tokenizer(minilm_json, MAX_LENGTH)


@pytest.fixture(scope="module")
def theirs(minilm_json):
    return reference(minilm_json)


def reference(file: bytes, max_length: int = MAX_LENGTH):
    tokenizer = tokenizers.Tokenizer.from_buffer(file)
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length=max_length)
    return tokenizer


def assert_same(ours: core.Tokenizer, theirs, text: str) -> None:
    wanted = theirs.encode(text[:MAX_CHARACTERS])
    before = ours.truncated
    ids, special = ours.tokenize(text)
    assert ids.dtype == np.int64
    assert ids.tolist() == wanted.ids, ascii(text[:200])
    assert special.dtype == bool
    assert special.tolist() == [bool(mark) for mark in wanted.special_tokens_mask]
    assert ours.truncated - before == (bool(wanted.overflowing) or len(text) > MAX_CHARACTERS)


# The same ids


@pytest.mark.parametrize("name", HARD)
def test_hard_texts(ours, theirs, name):
    assert_same(ours, theirs, HARD[name])


@given(text=MIXED)
@example("\x00")
@example("a\u0300" * 60)
def test_any_text(ours, theirs, text):
    assert_same(ours, theirs, text)


def test_every_character_there_is(ours, theirs):
    assigned = (
        chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) not in {"Cs", "Cn", "Co"}
    )
    while group := list(itertools.islice(assigned, 60)):
        assert_same(ours, theirs, " ".join(group))
        assert_same(ours, theirs, "a" + "a".join(group))


def strings(value):
    """All strings in what a JSON file holds."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from itertools.chain(value, *map(strings, value.values()))
    elif isinstance(value, list):
        yield from itertools.chain(*map(strings, value))


def texts_of(path: Path):
    """All strings of a JSON file, all rows of a table, all lines of a text."""
    raw = path.read_bytes()
    text = (lzma.decompress(raw) if path.suffix == ".xz" else raw).decode("utf-8")
    name = path.name.removesuffix(".xz")
    if name.endswith(".csv"):
        return (",".join(row) for row in csv.reader(io.StringIO(text, newline="")))
    if name.endswith(".jsonl"):
        return itertools.chain(*(strings(json.loads(line)) for line in text.split("\n") if line))
    if name.endswith(".json"):
        return strings(json.loads(text))
    return iter(text.split("\n"))


@pytest.fixture(scope="module")
def data_texts() -> list[str]:
    """Texts of all public data sets, spread evenly over them."""
    folder = Path(os.environ.get("HMEM_DATA", Path(__file__).parents[2] / "shared" / "data"))
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if not files:
        pytest.skip(f"there are no data sets at {folder}: set HMEM_DATA")
    found = list(dict.fromkeys(itertools.chain(*map(texts_of, files))))
    return found[:: max(1, len(found) // TEXTS)]


@pytest.mark.data
def test_texts_of_the_data_sets(ours, theirs, data_texts):
    for text in data_texts:
        assert_same(ours, theirs, text)
    print(f"{len(data_texts)} texts")  # noqa: T201 - shown by pytest -s


@pytest.mark.torch
def test_sentence_transformers_gets_the_same_ids(ours, minilm_source):
    transformers = pytest.importorskip("transformers", reason="it needs the extra encode")
    theirs = transformers.AutoTokenizer.from_pretrained(minilm_source, local_files_only=True)
    texts = list(HARD.values())
    wanted = theirs(texts, truncation=True, max_length=MAX_LENGTH, padding=False)["input_ids"]
    assert [ours.tokenize(text)[0].tolist() for text in texts] == wanted


# Other files


def whole(model, **parts) -> bytes:
    tokenizer = tokenizers.Tokenizer(model)
    for name, part in parts.items():
        setattr(tokenizer, name, part)
    return tokenizer.to_str().encode()


def trained(model, trainer, **parts) -> bytes:
    tokenizer = tokenizers.Tokenizer.from_str(whole(model, **parts).decode())
    tokenizer.train_from_iterator([*HARD.values(), "the spare key is lost and found again"] * 3, trainer)
    tokenizer.post_processor = tokenizers.processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return tokenizer.to_str().encode()


@functools.cache
def other_files() -> dict[str, bytes]:
    models, normalizers = tokenizers.models, tokenizers.normalizers
    pre_tokenizers, trainers = tokenizers.pre_tokenizers, tokenizers.trainers
    words = {
        word: number for number, word in enumerate(["[UNK]", "the", "caf", "##é", "##s", "a", "##b", "!", "[CLS]"])
    }
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    bare = tokenizers.Tokenizer(models.WordPiece(words, unk_token="[UNK]"))
    bare.add_special_tokens(["[CLS]", "<new>"])
    bare.add_tokens([tokenizers.AddedToken("the a", single_word=True, lstrip=True, rstrip=True, normalized=True)])
    return {
        "words by a regular expression": whole(
            models.WordPiece(words, unk_token="[UNK]", max_input_chars_per_word=3),
            pre_tokenizer=pre_tokenizers.Whitespace(),
            post_processor=tokenizers.processors.BertProcessing(("a", 5), ("[CLS]", 8)),
        ),
        "cased": whole(
            models.WordPiece(words, unk_token="[UNK]"),
            normalizer=normalizers.BertNormalizer(lowercase=False, strip_accents=False),
            pre_tokenizer=pre_tokenizers.BertPreTokenizer(),
        ),
        "added tokens, and nothing else": bare.to_str().encode(),
        "SentencePiece-like": trained(
            models.Unigram(),
            trainers.UnigramTrainer(vocab_size=600, special_tokens=special, unk_token="<unk>", show_progress=False),
            normalizer=normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(tokenizers.Regex(" {2,}"), " ")]),
            pre_tokenizer=pre_tokenizers.Metaspace(),
        ),
        "pairs of bytes": trained(
            models.BPE(),
            trainers.BpeTrainer(
                vocab_size=600,
                special_tokens=special,
                initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                show_progress=False,
            ),
            pre_tokenizer=pre_tokenizers.ByteLevel(add_prefix_space=False),
        ),
    }


@pytest.mark.parametrize(
    "name",
    [
        "words by a regular expression",
        "cased",
        "added tokens, and nothing else",
        "SentencePiece-like",
        "pairs of bytes",
    ],
)
def test_other_files_give_the_same_ids(name):
    file = other_files()[name]
    ours, theirs = core.Tokenizer(file, MAX_LENGTH), reference(file)
    assert ours.vocabulary_size == theirs.get_vocab_size()

    @given(text=MIXED | st.text("theacafés b! <new>[CLS]"))
    def check(text):
        assert_same(ours, theirs, text)

    check()
    for text in HARD.values():
        assert_same(ours, theirs, text)


@given(st.data())
def test_a_damaged_file_is_refused_or_read(data):
    file = bytearray(other_files()[data.draw(st.sampled_from(["words by a regular expression", "cased"]))])
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(file) - 1))
        file[at : at + data.draw(st.integers(0, 9))] = data.draw(
            st.sampled_from([b"", b"0", b"null", b'"', b"{", b"}", b"[CLS]"])
        )
    try:
        tokenizer = core.Tokenizer(bytes(file), 8)
    except (ModelError, InvalidValueError):
        return
    ids, _ = tokenizer.tokenize("the cafés!")
    assert all(0 <= id_ < tokenizer.vocabulary_size for id_ in ids.tolist())


# Limits


def test_a_long_text_is_cut_and_counted(minilm_json):
    tokenizer = core.Tokenizer(minilm_json, MAX_LENGTH)
    short, _ = tokenizer.tokenize("a" * MAX_CHARACTERS)
    assert tokenizer.truncated == 0
    long, _ = tokenizer.tokenize("a" * 10_000_000)
    assert tokenizer.truncated == 1
    assert long.tolist() == short.tolist() == [101, 100, 102]
    at_end, _ = tokenizer.tokenize(" " * (MAX_CHARACTERS - 1) + "😀key")
    assert (at_end.tolist(), tokenizer.truncated) == ([101, 100, 102], 2)
    tokenizer.tokenize(" " * (MAX_CHARACTERS - 1) + "😀")
    assert tokenizer.truncated == 2


@pytest.mark.parametrize("max_length", [3, 4, 5, 17, 255, 257, 512, 2**70])
def test_the_limit_counts_special_tokens(minilm_json, max_length):
    tokenizer = core.Tokenizer(minilm_json, max_length)
    text = "one key, " * 400
    wanted = reference(minilm_json, min(max_length, 10_000)).encode(text)
    assert tokenizer.tokenize(text)[0].tolist() == wanted.ids
    assert tokenizer.truncated == (max_length < 2**70)


def test_the_prefix_comes_before_each_text_and_is_not_cut_off(minilm_json, theirs):
    tokenizer = core.Tokenizer(minilm_json, MAX_LENGTH, "query: ")
    assert tokenizer.tokenize("key")[0].tolist() == theirs.encode("query: key").ids
    assert tokenizer.tokenize(" " * (MAX_CHARACTERS - 3) + "key")[0].tolist() == theirs.encode("query: key").ids
    assert tokenizer.truncated == 0


def test_it_says_what_it_is(ours):
    assert (ours.max_length, ours.vocabulary_size) == (MAX_LENGTH, 30522)
    assert repr(ours) == "Tokenizer(vocabulary_size=30522, max_length=256)"


def test_an_encoders_tokenizer_marks_words(minilm_source):
    tokenizer = Tokenizer(minilm_source / "tokenizer.json", max_length=4)
    tokenized = tokenizer.tokenize("spare keys lost")
    assert tokenized.words.tolist() == [False, True, True, False]
    assert (len(tokenized.ids), tokenizer.truncated) == (4, 1)


# Threads


def test_many_threads_share_one(minilm_json):
    tokenizer = core.Tokenizer(minilm_json, MAX_LENGTH)
    texts = list(HARD.values()) * 20
    alone = [tokenizer.tokenize(text)[0].tolist() for text in texts]
    counted = tokenizer.truncated
    with ThreadPoolExecutor(8) as pool:
        together = [ids.tolist() for ids, _ in pool.map(tokenizer.tokenize, texts)]
    assert together == alone
    assert tokenizer.truncated == 2 * counted > 0


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="this system does not list its threads")
def test_it_starts_no_threads(minilm_source):
    code = (
        "import os, sys; from hmem_fast import core; file = open(sys.argv[1], 'rb').read()\n"
        "before = len(os.listdir('/proc/self/task')); tokenizer = core.Tokenizer(file, 256)\n"
        "tokenizer.tokenize('word ' * 3000); print(len(os.listdir('/proc/self/task')) - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(minilm_source / "tokenizer.json")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TOKENIZERS_PARALLELISM": "true"},
        capture_output=True,
        check=True,
        encoding="utf-8",
    )
    assert done.stdout == "0\n"


# Errors


def test_a_lone_surrogate_is_named(ours):
    for text in ("abc\udfff", "\ud800" * 3, "é\ud83d"):
        at = next(i for i, character in enumerate(text) if "\ud800" <= character <= "\udfff")
        with pytest.raises(InvalidValueError, match=f"text: a lone surrogate at position {at}"):
            ours.tokenize(text)
    with pytest.raises(InvalidValueError, match="prefix: a lone surrogate at position 1"):
        core.Tokenizer(other_files()["cased"], 8, "a\udc80")


def test_arguments_are_checked(ours):
    file = other_files()["words by a regular expression"]
    with pytest.raises(DTypeError, match="text: wanted a string, got list"):
        ours.tokenize(["a text"])
    with pytest.raises(DTypeError, match="json: wanted bytes, got str"):
        core.Tokenizer(file.decode(), 8)
    with pytest.raises(DTypeError, match="max_length: wanted an integer, got float"):
        core.Tokenizer(file, 8.0)
    with pytest.raises(DTypeError, match="prefix: wanted a string, got int"):
        core.Tokenizer(file, 8, 1)
    with pytest.raises(InvalidValueError, match="max_length: wanted 1 or more, got 0"):
        core.Tokenizer(file, 0)
    with pytest.raises(
        InvalidValueError, match=r"max_length: wanted at least 3 \(each text gets 2 special tokens\), got 2"
    ):
        core.Tokenizer(file, 2)
    assert len(core.Tokenizer(file, 3).tokenize("the the")[0]) == 3


@pytest.mark.parametrize("damage", [b"", b"{}", b"\xff", b"[]", b'{"version": "2.0", "model": {}}', b"[" * 100_000])
def test_what_is_no_tokenizer_is_refused(damage, tmp_path):
    with pytest.raises(ModelError, match=r"json: wanted a tokenizer\.json, got"):
        core.Tokenizer(damage, 8)
    (tmp_path / "tokenizer.json").write_bytes(damage)
    with pytest.raises(ModelError, match=r"tokenizer\.json: json: wanted"):
        Tokenizer(tmp_path / "tokenizer.json", max_length=8)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"gone\.json: the tokenizer cannot be read"):
        Tokenizer(tmp_path / "gone.json", max_length=8)
