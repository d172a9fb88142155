"""Running the same code with each instruction set that this CPU has."""

import os
import subprocess
import sys

from hmem_fast.core import cpu_features


def run(code, hmem_isa, *arguments):
    environment = {name: value for name, value in os.environ.items() if name != "HMEM_ISA"}
    if hmem_isa is not None:
        environment["HMEM_ISA"] = hmem_isa
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def available():
    features = cpu_features()
    yield "scalar"
    if features["avx2"] and features["fma"]:
        yield "avx2"
    if all(features[name] for name in ("avx2", "fma", "avx512f", "avx512bw", "avx512vl", "avx512dq")):
        yield "avx512"
    if features["neon"]:
        yield "neon"


def check_all_give_the_same_bits(code, *arguments):
    answers = {name: run(code, name, *arguments) for name in available()}
    assert all(answer.returncode == 0 for answer in answers.values()), answers
    assert [answer.stdout.split()[0] for answer in answers.values()] == list(answers)
    assert len({answer.stdout.split()[1] for answer in answers.values()}) == 1
