"""Long calls of the core's encoder: batches, progress, and Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from bert_models import small_native
from hmem_fast.encode import NativeEncoder
from hmem_fast.errors import DTypeError, InvalidValueError


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> NativeEncoder:
    return NativeEncoder(small_native(tmp_path_factory.mktemp("small")))


def test_texts_come_in_batches(small):
    texts = [f"the spare key {'a ' * number}" for number in range(23)]
    for size in (1, 5, 23, 100):
        batches = list(small.encode_batches(iter(texts), size=size))
        assert [len(rows) for rows in batches[:-1]] == [size] * (len(batches) - 1)
        assert np.array_equal(np.concatenate(batches), small.encode(texts))


def test_a_batch_is_encoded_when_it_is_asked_for(small):
    taken = []

    def texts():
        for number in range(10):
            taken.append(number)
            yield "the key"

    batches = small.encode_batches(texts(), size=4)
    assert taken == []
    assert next(batches).shape == (4, 64)
    assert taken == [0, 1, 2, 3]


def test_batches_are_checked(small):
    for size, error in ((0, InvalidValueError), (-2, InvalidValueError), (2.0, DTypeError), (True, DTypeError)):
        with pytest.raises(error, match="size: wanted"):
            small.encode_batches(["a"], size=size)
    with pytest.raises(DTypeError, match="wrap it in a list"):
        small.encode_batches("one string")
    batches = small.encode_batches(["a", "b", 7], size=2)
    assert next(batches).shape == (2, 64)
    with pytest.raises(DTypeError, match=r"texts\[0\]: wanted a string, got int"):
        next(batches)


# Progress, and being interrupted


def test_progress_is_told(small):
    texts, told = ["the spare key is lost"] * 3000, []
    rows = small.encode(texts, progress=told.append)
    assert len(told) > 1
    assert told == sorted(set(told))
    assert told[-1] == len(texts)
    assert np.array_equal(rows, small.encode(texts))
    assert small.encode([], progress=pytest.fail).shape == (0, 64)


def test_what_progress_raises_ends_the_call_and_nothing_else(small):
    texts, told = ["the spare key is lost"] * 3000, []
    before = small.encode(texts[:20])

    class StoppedError(Exception):
        pass

    def stop(done):
        told.append(done)
        if len(told) == 2:
            raise StoppedError

    with pytest.raises(StoppedError):
        small.encode(texts, progress=stop)
    assert len(told) == 2
    assert told[-1] < len(texts)
    with pytest.raises(TypeError):
        small.encode(texts, progress="no function")
    assert np.array_equal(small.encode(texts[:20]), before)


def test_a_signal_is_handled_before_the_next_part(small):
    texts, told = ["the spare key is lost"] * 3000, []

    def interrupt(done):
        told.append(done)
        signal.raise_signal(signal.SIGINT)

    # Whatever started the tests in the background may have had the signal ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            small.encode(texts, progress=interrupt)
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(told) == 1
    assert small.encode(["a"]).shape == (1, 64)


@pytest.mark.skipif(os.name != "posix", reason="elsewhere Ctrl-C reaches a whole group of processes")
@pytest.mark.parametrize("method", ["encode", "encode_tokens", "encode_token_codes"])
def test_ctrl_c_ends_a_long_call(minilm_native, method):
    # An hour of work, for which the timeout would not wait.
    code = (
        "import signal; from hmem_fast.encode import NativeEncoder\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"e = NativeEncoder({str(minilm_native)!r}); before = e.encode(['key']).tobytes()\n"
        "try:\n"
        "    print('begun', flush=True)\n"
        f"    e.{method}(['A long story about keys and doors. ' * 100] * 200_000)\n"
        "except KeyboardInterrupt:\n"
        "    print(e.encode(['key']).tobytes() == before)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout.readline() == "begun\n"
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(1)
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert output == "True\n", errors
