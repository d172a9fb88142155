"""The examples in the compiled parts' docstrings."""

import doctest
import inspect

import pytest

from hmem_fast import core


@pytest.mark.parametrize("name", core.__all__)
def test_examples_of(name):
    part = getattr(core, name)
    examples = doctest.DocTestParser().get_doctest(inspect.getdoc(part), {"__name__": name}, name, None, None)
    assert examples.examples, f"{name} has no example"
    result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(examples)
    assert result.failed == 0
