"""Linear algebra on a class mean: figures, numbers and verdicts on a table whose answers are known."""

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

from privacy_for_free.book.chapters import identification
from privacy_for_free.data import load as load_data

NAMED = {64: 1.0, 32: 0.9, 8: 0.2, 4: 0.0}  # shares of members above all others, by bits, at n = 500
CAPS = {1.0: 0.09, 100.0: 1.0}


def rows():
    for n, factor in ((50, 1.0), (500, 1.0), (3000, 0.5)):
        for statistic, share in (("identification", 1.0), ("pool", 0.5), ("linear", 0.4)):
            shared = {"n": n, "statistic": statistic, "wrongly_decided": 0.0}
            for bits, named in NAMED.items():
                named *= factor * share
                yield shared | {"release": "rounded", "bits": bits, "named": named, "right": 0.5 + named / 2}
            for mu, cap in CAPS.items():
                tpr = cap * share / 2
                noisy = {"release": "noisy", "mu": mu, "named": tpr, "right": 0.5 if mu == 1 else 0.995}
                yield (
                    shared
                    | noisy
                    | {"tpr_percent": tpr, "tpr_permille": tpr / 10}
                    | {f"cap_{name}": scale * cap for name, scale in (("percent", 1), ("permille", 0.1))}
                )


def table():
    """The rows as `identification` records them; intervals over halves reach 0.1 to either side."""
    found = pd.DataFrame(rows())
    for name in ("named", "right", "tpr_percent", "tpr_permille"):
        found[f"{name}_low_halves"] = found[name] - 0.1
        found[f"{name}_high_halves"] = found[name] + 0.1
        found[f"{name}_low"] = found[name] - 0.01
    return found


def view_of(found):
    record = SimpleNamespace(table=found, provenance=lambda: "made by hand")
    few = SimpleNamespace(table=found[found.n <= 500], provenance=lambda: "too")
    return identification.load({"fashion_mnist": record, "cifar10": few})


@pytest.fixture(scope="module")
def view():
    return view_of(table())


def test_view(view):
    assert view.provenance == "made by hand\ntoo"
    assert (view.datasets, view.members) == (["fashion_mnist", "cifar10"], 500)
    assert (view.bits(32), view.bits(7), view.bits(1)) == (32, 8, 4)
    assert view.percent("named", 8).to_dict() == pytest.approx({"fashion_mnist": 20, "cifar10": 20})
    assert identification.rates(view).tolist() == pytest.approx([90, 90])


def test_numbers(view):
    numbers = identification.numbers(view)
    assert numbers["named.members"] == 500
    assert numbers["named.right"] == "95.0 % on FashionMNIST and 95.0 % on CIFAR-10"
    assert numbers["named.named"] == "90.0 and 90.0"
    gap = "90 against 45 % with n = 50"
    assert numbers["named.gap"] == f"{gap} on FashionMNIST and {gap} on CIFAR-10"
    assert (
        numbers["named.most"] == "72.5 % with n = 3,000 on FashionMNIST and 95.0 % with n = 500 on CIFAR-10"
    )
    assert (numbers["named.coarse.bits"], numbers["named.coarse"]) == (8, "60 and 60")
    assert (numbers["named.wrong"], numbers["named.even"]) == (0, "450 and 450")
    assert (numbers["noise.rates"], numbers["noise.over"]) == (2 * 2 * 3 * 5, 0)
    assert (numbers["noise.least"], numbers["noise.least.cap"]) == (1, pytest.approx(9))
    assert numbers["noise.least.tpr"] == "4.5 and 4.5"
    assert numbers["noise.sharp"] == "100 on FashionMNIST and 100 on CIFAR-10"


def test_without_noise_that_names_all_none_is_told():
    found = table()
    found.loc[found.release == "noisy", "right"] = 0.6
    assert identification.numbers(view_of(found))["noise.sharp"] == "none that was tried"


def test_an_attack_above_the_cap_is_counted():
    found = table()
    found.loc[(found.release == "noisy") & (found.mu == 1) & (found.n == 50), "cap_percent"] = -0.2
    above = view_of(found)
    assert identification.numbers(above)["noise.over"] == 2 * 3
    assert identification.verdicts(above)["verdict.noise"] < 0


def test_verdicts(view):
    margins = identification.verdicts(view)
    assert margins["verdict.linear"].tolist() == pytest.approx([-45, -45])
    assert margins["verdict.rounding"].tolist() == pytest.approx([0, 0])
    assert margins["verdict.noise"] == pytest.approx(0.9 - 0.45 + 10)
    equal = table()
    equal["named"] = 1.0
    assert len(identification.verdicts(view_of(equal))["verdict.linear"]) == 0


def test_keys_are_those_of_the_prose(view, glue_keys):
    keys, prose = set(identification.numbers(view)), glue_keys("tracing")
    assert keys == {key for key in prose if key.startswith(("named.", "noise."))}
    assert set(identification.verdicts(view)) <= prose


def test_figures_show_what_is_in_the_table(view):
    named = identification.figure_named(view)
    lines = [container.lines[0] for container in named.axes[0].containers]
    assert lines[0].get_xdata(orig=False).tolist() == [50, 500, 3000]
    np.testing.assert_allclose(lines[1].get_ydata(orig=False), [90, 90, 45])
    np.testing.assert_allclose(lines[2].get_ydata(orig=False), [45, 45, 22.5])
    np.testing.assert_allclose(named.axes[2].containers[1].lines[0].get_ydata(orig=False), [0, 20, 90, 100])
    noise = identification.figure_noise(view).axes[0]
    np.testing.assert_allclose(noise.lines[0].get_ydata(), [9, 100])
    assert noise.get_legend_handles_labels()[1] == ["cap of any attack", "linear algebra", "T"]
    named.canvas.draw()
    plt.close("all")


def test_candidates_are_of_one_class_and_half_are_members():
    dataset = load_data("fashion_mnist_mini")
    images, inside = identification.candidates(dataset, 3, seed=0)
    assert (images.shape, int(inside.sum())) == ((1000, 1, 28, 28), 500)
    known = dataset.train_images[dataset.train_labels == 3].flatten(1).double()
    torch.testing.assert_close(images.flatten(1).double().sum(0), known.sum(0))
    assert not torch.equal(inside, identification.candidates(dataset, 3, seed=1)[1])


def test_pictures_are_marked_right_or_wrong():
    inside = torch.arange(10) < 5
    result = SimpleNamespace(chosen=torch.tensor([True, False] * 5))
    figure = identification.figure_candidates({"made up": (torch.rand(10, 3, 4, 4), inside, result)})
    marks = [axis.get_xlabel() for axis in figure.axes]
    assert marks == ["in ✓", "out ✗", "in ✓", "out ✗", "in ✓", "out ✓", "in ✗", "out ✓"]
    assert figure.subfigs[0].get_suptitle() == "made up: 6 of 10 right"
    framed = [axis.spines["left"].get_visible() for axis in figure.axes]
    assert framed == [mark.endswith("✗") for mark in marks]
    plt.close(figure)
