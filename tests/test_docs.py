"""Every example runs: in docstrings, in the compiled core, in the README and in docs/. Every link leads somewhere."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import re
import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest

import hmem_fast
from hmem_fast import core
from hmem_fast.encode.native_file import NATIVE_FILE

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
MODULES = [
    pytest.param(info.name, marks=[pytest.mark.torch] if ".torch_core" in info.name else [])
    for info in pkgutil.walk_packages(hmem_fast.__path__, "hmem_fast.")
    if info.name.split(".")[-1] not in {"__main__", "_core", "core"}
]
COMPILED = [getattr(core, name) for name in core.__all__ if callable(getattr(core, name))]


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def run_examples(docstring, names, where):
    test = doctest.DocTestParser().get_doctest(inspect.cleandoc(docstring), names, where, None, None)
    report = []
    runner = doctest.DocTestRunner()
    runner.run(test, out=report.append)
    assert runner.failures == 0, "".join(report)
    return runner.tries


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name):
    module = importlib.import_module(name)
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, name):
        if test.examples:
            report = []
            runner = doctest.DocTestRunner()
            runner.run(test, out=report.append)
            assert runner.failures == 0, "".join(report)


@pytest.mark.parametrize("thing", COMPILED, ids=lambda thing: thing.__name__)
def test_examples_of_the_compiled_core(thing, request, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if thing is core.TextEncoder:  # its examples open a model that lies in the working directory
        shutil.copy(request.getfixturevalue("minilm_native") / NATIVE_FILE, tmp_path)
    names = {name: getattr(core, name) for name in core.__all__} | {"np": np}
    assert run_examples(thing.__doc__, dict(names), thing.__name__) > 0, "each public part shows how it is used"
    if inspect.isclass(thing):
        for name, method in vars(thing).items():
            if not name.startswith("_") and method.__doc__:
                run_examples(method.__doc__, dict(names), f"{thing.__name__}.{name}")


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=[pytest.mark.torch] if page.name == "torch.md" else [])
        for page in PAGES
        if blocks(page, "python")
    ],
    ids=lambda page: page.name,
)
def test_examples_of_the_pages(page, minilm_native, tmp_path, monkeypatch):
    monkeypatch.setenv("HMEM_CACHE", str(minilm_native.parent))
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in blocks(page, "python"):  # in order, as a reader would type them
        exec(compile(block, page.name, "exec"), names)
    for value in names.values():
        if isinstance(value, hmem_fast.Memory):
            value.close()


@pytest.mark.parametrize("script", sorted((ROOT / "examples").glob("*.py")), ids=lambda script: script.name)
def test_examples_run_and_run_again(script, minilm_native, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HMEM_CACHE", str(minilm_native.parent))
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        runpy.run_path(str(script), run_name="__main__")
        assert capsys.readouterr().out


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_that_are_shown_exist(page):
    from hmem_fast.cli import main

    shown = {
        line for block in blocks(page, "sh") for line in re.findall(r"^(?:\$ )?hmem ([a-z-]+)", block, re.MULTILINE)
    }
    for command in shown:
        assert main([command, "--help"]) == 0, command


def test_every_target_of_the_makefile_that_is_named_exists():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    for page in PAGES:
        assert set(re.findall(r"`make ([a-z-]+)", page.read_text(encoding="utf-8"))) <= targets
