"""The page on kept files: its sizes are those of what is declared, its example runs."""

import re
from types import SimpleNamespace

import pytest
import torch

from privacy_for_free.experiments.membership import EXPERIMENT
from privacy_for_free.lab import kept

IMAGES = {"fashion_mnist": (1, 28, 28, 10), "cifar10": (3, 32, 32, 10), "fairface": (3, 32, 32, 2)}


@pytest.fixture
def page(root):
    return (root / "docs" / "kept.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", EXPERIMENT.datasets)
def test_sizes_are_those_of_the_declared_arrays(page, name):
    *image, classes = IMAGES[name]
    labels = torch.arange(classes).repeat_interleave(20_000 // classes)
    images = torch.empty((1, 1, 1, 1)).expand(len(labels), *image)
    dataset = SimpleNamespace(classes=range(classes), train_images=images, train_labels=labels)
    forms = kept.declared(EXPERIMENT, EXPERIMENT.profiles["laptop"], dataset)
    pool = {key: form for key, form in forms.items() if key.startswith("pool/")}
    sizes = [kept.size(pool), kept.size(forms) - kept.size(pool), kept.size(forms)]
    line = f"| {name} | " + " | ".join(f"{size / 1e6:.1f}" for size in sizes) + " |"
    assert line in page.splitlines()


def test_the_pages_attack_is_one(page):
    """Its lesson, on answers that are made up: the margin of the label is what it says."""
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names = {}
    lines = code[code.index("def margin") : code.index("\n\n\nrows")]
    exec("from privacy_for_free.attacks import evaluation\n" + lines, names)  # noqa: S102
    logits = torch.tensor([[[[3.0, 1.0, 2.0]], [[0.0, 5.0, 1.0]]]]).half()
    pool = SimpleNamespace(labels=torch.tensor([0, 2]))
    (attempt,) = names["margin"](SimpleNamespace(logits=logits, inputs=SimpleNamespace(pool=pool)))
    assert attempt.statistics.tolist() == [[1.0, -4.0]]
