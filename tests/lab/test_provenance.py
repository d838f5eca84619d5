"""The source checksum changes with what could change a number, and with nothing else."""

import ast

import pytest
import torch

from privacy_for_free.lab import provenance

EXPERIMENT = "privacy_for_free.experiments.linear_dm"


def canonical(text):
    return provenance._canonical(ast.parse(text))


def test_comments_docstrings_and_layout_do_not_count():
    plain = "def f(x):\n    return x + 1\n"
    dressed = '"""Module."""\n\n# why\ndef f(\n    x,\n):\n    """Add."""\n    return (x + 1)  # one\n'
    assert canonical(plain) == canonical(dressed)


@pytest.mark.parametrize(
    "other", ["def f(x):\n    return x + 2\n", "def f(y):\n    return y + 1\n", "f = 1\n"]
)
def test_any_other_change_counts(other):
    assert canonical("def f(x):\n    return x + 1\n") != canonical(other)


def test_closure_follows_imports_and_stops_at_type_checking():
    modules = provenance._closure(EXPERIMENT)
    assert {EXPERIMENT, "privacy_for_free.theory.linear", "privacy_for_free.core.randomness"} <= set(modules)
    assert not any(name.startswith("privacy_for_free.data") for name in modules)
    assert "privacy_for_free.lab.records" not in modules


def test_unknown_module_is_refused():
    with pytest.raises(ValueError, match="numpy"):
        provenance.source_sha256("numpy")


def test_processors_of_one_name_are_told_apart(tmp_path):
    listing = tmp_path / "cpuinfo"
    found = []
    for model in (1, 17):
        one = f"processor\t: 0\ncpu family\t: 25\nmodel\t\t: {model}\nmodel name\t: AMD EPYC\n"
        listing.write_text(f"{one}\n{one.replace(': 0', ': 1')}")
        found.append(provenance._processor(listing))
    capability = torch.backends.cpu.get_cpu_capability()
    assert found == [f"AMD EPYC (family 25, model {model}, {capability})" for model in (1, 17)]
    assert provenance._processor(tmp_path / "missing").endswith(f"({capability})")


def test_machine_and_versions_are_stated():
    assert "thread" in provenance.machine(torch.device("cpu"))
    assert provenance.versions()["torch"].startswith("2.")
