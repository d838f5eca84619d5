"""The chapter's figures, numbers and verdicts on exact powers, and the keys of its prose on the records."""

import math
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

from privacy_for_free.book.chapters import nonlinear_extractors as extractors
from privacy_for_free.book.chapters import nonlinear_extractors_numbers as chapter
from privacy_for_free.book.claims.rules import Verdict
from privacy_for_free.lab.store import largest

NS, STEPS, REPLICATES = (10, 40, 160), (1, 5), range(3)
POWERS = {"convnet": -0.5, "convnet_gelu": -1.0, "mlp": -1.0}  # of the shift in n, after all steps
DELTAS = (1e-3, 1e-2, 1.0)
NAN = float("nan")


def shifts():
    """Shifts that are exact powers: after a step as 1 / n, with x in the start constant, 1 / sqrt(m)."""
    for extractor, power in POWERS.items():
        for start in ("noise", "real", "x"):
            for seed in REPLICATES:
                for n in NS:
                    for m in (2, 8):
                        for steps in STEPS:
                            exponent = -1 if steps == 1 else power
                            shift = 3.0 if start == "x" else n**exponent
                            trained = extractor == "convnet" and steps == max(STEPS)
                            change = (m / n) ** (0.9 + 0.1 * seed) if trained else NAN
                            yield {
                                "extractor": extractor,
                                "init": "noise" if start == "noise" else "real",
                                "in_initialisation": start == "x",
                                "n": n, "m": m, "seed": seed, "x": "typical", "iterations": steps,
                                "shift": shift / math.sqrt(m), "shift_image": shift / m,
                                "output_change": change,
                                "output_reseeded": 5 * change,
                            }  # fmt: skip


def others():
    """The smooth extractor, a minimiser, and gradients: root of delta for ReLU, a half of that for eight."""
    for seed in REPLICATES:
        for n in NS:
            common = {
                "init": "noise",
                "in_initialisation": False,
                "n": n,
                "m": 2,
                "seed": seed,
                "x": "typical",
            }
            bounds = {"shift": 1 / n, "bound": 2 / n, "bound_proved": 50 / n}
            yield common | bounds | {"extractor": "tanh", "iterations": 20}
            at = {"shift": 1 / n, "bound": (2 if seed else 0.5) / n, "predicted": 0.8 / n}
            yield common | at | {"extractor": "tanh_minimum"}
        for extractor, power, networks in (("convnet", 0.5, 1), ("convnet", 0.5, 8), ("convnet_gelu", 1, 1)):
            for delta in DELTAS:
                yield {
                    "extractor": extractor, "init": "real", "n": 40, "m": 2, "seed": seed, "delta": delta,
                    "networks": networks, "gradient": 4.0,
                    "gradient_change": (1 if networks == 1 else 0.5) * delta**power,
                }  # fmt: skip


@pytest.fixture(scope="module")
def view():
    table = pd.DataFrame([*shifts(), *others()])
    record = SimpleNamespace(
        table=table, meta={"parameters": {"smooth_side": 4}}, provenance=lambda: "made by hand"
    )
    return extractors.load({"fashion_mnist": record})


@pytest.fixture(scope="module")
def apart():
    return {name: torch.ones(2, 11) * factor for name, factor in (("convnet", 3.0), ("convnet_gelu", 1.0))}


@pytest.fixture(scope="module")
def numbers(view, apart):
    return chapter.numbers(view, apart)


def test_view(view):
    assert view.provenance == "made by hand"
    assert (view.middle, view.stops) == (2, [1, 5])
    assert set(view.plain.start) == {"noise"}
    assert (view.networks.total == view.networks.m * view.networks.shift_image).all()
    assert len(view.final("fashion_mnist", "x", extractor="mlp", n=40)) == 6


def test_sizes_and_smooth_extractor(numbers):
    assert (numbers["n.lowest"], numbers["n.highest"], numbers["m"], numbers["steps"]) == (10, 160, 2, 5)
    assert (numbers["replicates"], numbers["smooth.side"], numbers["tanh.steps"]) == (3, 4, 20)
    assert numbers["tanh.bound_over_shift"] == pytest.approx(2)
    assert numbers["tanh.proved_over_shift"] == pytest.approx(50)
    assert (numbers["minimum.pairs"], numbers["minimum.held"]) == (3, 2)
    assert numbers["minimum.shift_over_predicted"] == pytest.approx(1.25)


def test_slopes_and_shifts(numbers):
    assert numbers["fits"] == numbers["fits.bootstrap_inside"] == 3 * 3 * 2
    for dataset in ("fashion_mnist", "cifar10"):  # the one that is there stands in for the other
        assert numbers[f"{dataset}.convnet.slope"] == pytest.approx(-0.5)
        assert numbers[f"{dataset}.convnet_gelu.slope"] == pytest.approx(-1)
        assert numbers[f"{dataset}.convnet_gelu.started.slope"] == pytest.approx(0, abs=1e-12)
    assert numbers["fashion_mnist.convnet.shift.lowest_n"] == pytest.approx(1 / math.sqrt(10 * 2))
    assert numbers["fashion_mnist.convnet.shift.highest_n"] == pytest.approx(1 / math.sqrt(160 * 2))
    assert numbers["fashion_mnist.convnet_gelu.shift.highest_n"] == pytest.approx(1 / (160 * math.sqrt(2)))
    assert numbers["fashion_mnist.convnet_gelu.started.times"] == pytest.approx(3 * 160)


def test_kinks(numbers):
    assert numbers["kinks.convnet.exponent"] == pytest.approx(0.5)
    assert numbers["kinks.convnet_gelu.exponent"] == pytest.approx(1)
    assert numbers["kinks.convnet.averaged"] == pytest.approx(2)
    assert (numbers["kinks.networks"], numbers["kinks.steps"]) == (8, 10)
    assert numbers["kinks.networks.root"] == pytest.approx(math.sqrt(8))


def test_outputs(numbers):
    assert numbers["fashion_mnist.outputs.slope_in_n"] == "-1.00 [-1.25,\u00a0-0.75]"
    assert numbers["cifar10.outputs.slope_in_m"] == "1.00 [0.75,\u00a01.25]"
    assert numbers["fashion_mnist.outputs.reseeded"] == pytest.approx(5)


def test_verdicts(view):
    embedding = extractors.table_embedding([(40, 0.5, 0.8, 2.0), (80, 0.5, 0.9, 2.0)])
    found = chapter.verdicts(view, embedding)
    np.testing.assert_allclose(found["verdict.embedding"], [1.2, 1.1])
    assert found["verdict.smooth"] is Verdict.HOLDS
    assert found["verdict.relu"] is found["verdict.real"] is Verdict.FAILS
    assert found["verdict.network"] is Verdict.HOLDS


def test_tables(view):
    table = extractors.table_slopes(view)
    assert list(table.columns) == [1, 5]
    assert table.loc[("FashionMNIST", "ConvNet, ReLU", "noise"), 5] == "-0.50 [-0.50,\u00a0-0.50]"
    assert table.loc[("FashionMNIST", "MLP, ReLU", "real, x among them"), 1].startswith("0.00")
    sizes = extractors.table_sizes(view)
    assert len(sizes) == 6
    assert sizes["slope in m, 5 steps"].tolist()[:2] == [
        "-0.50 [-0.50,\u00a0-0.50]",
        "0.00 [0.00,\u00a00.00]",
    ]


def test_circle_has_the_angles_and_one_norm():
    angles, images = extractors.circle(5, 16)
    assert images.shape == (5, 16)
    torch.testing.assert_close(images.norm(dim=1), torch.full((5,), 4.0, dtype=torch.float64))
    torch.testing.assert_close((images @ images[0] / 16).acos(), angles, rtol=1e-6, atol=1e-6)


def test_standardised_images_are_of_the_first_class():
    data = SimpleNamespace(
        normalised=False, mean=torch.tensor([1.0]), std=torch.tensor([2.0]),
        test_images=torch.zeros(1, 1, 2, 2),
        train_images=torch.arange(4.0)[:, None, None, None].expand(4, 1, 2, 2),
        train_labels=torch.tensor([1, 0, 0, 0]),
    )  # fmt: skip
    found = extractors.standardised_images(data, 2)
    assert found.dtype == torch.float64
    assert found[:, 0, 0, 0].tolist() == [0.0, 0.5]


def test_figures_show_what_is_in_the_table(view, apart):
    angles, _ = extractors.circle(3)
    kernel = extractors.figure_kernel(angles, {2: (angles, angles + 0.001, angles * 0)})
    assert kernel.axes[0].get_legend_handles_labels()[1] == ["2 layers"]
    bound = extractors.figure_bound(view).axes[0]
    np.testing.assert_allclose(bound.lines[0].get_ydata(), 1 / np.array(NS))
    networks = extractors.figure_networks(view).axes
    assert [axis.get_title(loc="left") or axis.get_title() for axis in networks] == list(
        extractors.EXTRACTORS.values()
    )
    assert networks[0].get_legend_handles_labels()[1] == ["1 step", "5 steps"]
    kinks = extractors.figure_kinks(view, (0.1, 1.0), apart)
    labels = kinks.axes[0].get_legend_handles_labels()[1]
    assert labels == ["ConvNet, ReLU, 1 network", "ConvNet, ReLU, 8 networks", "ConvNet, GELU, 1 network"]
    np.testing.assert_allclose(kinks.axes[1].lines[0].get_ydata(), 3)
    outputs = extractors.figure_outputs(view).axes[0]
    np.testing.assert_allclose(outputs.lines[0].get_ydata(), outputs.lines[0].get_xdata())
    plt.close("all")


def test_keys_are_those_of_the_prose(apart, glue_keys):
    records = {name: largest("nonlinear_shift", name) for name in (chapter.FASHION, chapter.CIFAR)}
    view = extractors.load(records)
    embedding = extractors.table_embedding([(40, 0.5, 0.8, 2.0)])
    keys = {**chapter.numbers(view, apart), **chapter.verdicts(view, embedding)}
    assert set(keys) == glue_keys("nonlinear_extractors")
