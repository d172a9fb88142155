import doctest
import inspect

import numpy as np
import pytest

from hmem_fast import core


def documented():
    for name in core.__all__:
        thing = getattr(core, name)
        yield name, thing
        if inspect.isclass(thing):
            yield from ((f"{name}.{m}", getattr(thing, m)) for m in vars(thing) if not m.startswith("_"))


EXAMPLES = [(name, thing) for name, thing in documented() if ">>>" in (thing.__doc__ or "")]


@pytest.mark.parametrize("thing", [thing for _, thing in EXAMPLES], ids=[name for name, _ in EXAMPLES])
def test_examples_run(thing):
    names = {name: getattr(core, name) for name in core.__all__} | {"np": np}
    test = doctest.DocTestParser().get_doctest(inspect.cleandoc(thing.__doc__), names, "example", None, None)
    runner = doctest.DocTestRunner()
    report = []
    runner.run(test, out=report.append)
    assert runner.failures == 0, "".join(report)


def test_each_public_function_and_class_has_an_example():
    with_examples = {name for name, _ in EXAMPLES}
    assert set(core.__all__) <= with_examples
