"""The examples in the docstrings of the core say what happens."""

import doctest
import importlib
import pkgutil

import fairseq_prune.pruning as pruning

MODULES = [found.name for found in pkgutil.walk_packages(pruning.__path__, f"{pruning.__name__}.")]


def run(module_name):
    return doctest.testmod(importlib.import_module(module_name))


def test_examples():
    results = {name: run(name) for name in MODULES}
    assert [name for name, result in results.items() if result.failed] == []
    assert sum(result.attempted for result in results.values()) >= 5  # there are some


def test_control_a_wrong_example_fails():
    wrong = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, 0)
    assert doctest.DocTestRunner().run(wrong, out=lambda text: None).failed == 1
