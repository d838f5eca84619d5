"""Figure, tables and numbers of a secret start on a table whose answers are known."""

import math
from types import SimpleNamespace

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from privacy_for_free.book.chapters import secret_start

EPSILONS = (0.0, 1.0, 10.0, math.inf)
ACCURACY = {0.0: 0.1, 1.0: 0.6, 10.0: 0.64, math.inf: 0.65}


def learnt():
    for replicate in (0, 1):
        shared = {"n": 6000, "fpr": None, "replicate": replicate}
        for m, spread in ((10, 1.0), (1, 0.5)):
            for epsilon in EPSILONS:
                steps = {"steps": 200.0, "kept": 0.1} if epsilon < math.inf else {"kept": 0.0}
                for learner in ("nearest_mean", "ridge", "convnet"):
                    yield shared | steps | {
                        "kind": "secret_start", "m": m, "spread": spread, "epsilon": epsilon,
                        "learner": learner, "test_accuracy": ACCURACY[epsilon] + 0.02 * replicate,
                    }  # fmt: skip
        noisy = {"kind": "gaussian_mean", "m": 1, "epsilon": 1.0, "learner": "convnet"}
        yield shared | noisy | {"test_accuracy": 0.5}
        real = {"kind": "random_subset", "m": 10, "epsilon": None, "learner": "convnet"}
        yield shared | real | {"test_accuracy": 0.7 + 0.1 * replicate}


def attacks():
    for epsilon in EPSILONS[1:]:
        for fpr in (0.001, 0.01):
            shared = {"m": 10, "spread": 1.0, "n": 6000, "replicate": 0, "epsilon": epsilon, "fpr": fpr}
            shared |= {"cap_tpr": 0.4, "low": 0.1, "high": 0.3, "observed_tpr": 0.2, "descent_error": 1e-14}
            if epsilon < math.inf:
                for pair, predicted in (("worst", 0.4), ("real", 0.25)):
                    yield shared | {"kind": "pair", "pair": pair, "predicted_tpr": predicted}
            found = 0.05 if epsilon < math.inf else 0.9
            yield shared | {"kind": "tracing", "n": 500, "observed_tpr": found, "low": 0.04, "high": 0.95}


@pytest.fixture(scope="module")
def view():
    table = pd.DataFrame([*attacks(), *learnt()])
    record = SimpleNamespace(table=table, provenance=lambda: "made here")
    return secret_start.load({"fashion_mnist": record}, "cifar10")


def test_numbers_are_those_of_the_table(view):
    numbers = secret_start.numbers(view)
    assert view.provenance == "made here"
    assert numbers["secret.data"] == "FashionMNIST"  # the chapter's own is not recorded
    assert (numbers["secret.n"], numbers["secret.releases"]) == (6000, 2)
    assert (numbers["secret.steps"], numbers["secret.kept"]) == (200, pytest.approx(10))
    assert numbers["secret.convnet"].startswith("61.0 [")
    assert numbers["secret.least"] == 1
    assert numbers["secret.mean.one"] == numbers["secret.mean.least"]
    assert numbers["secret.mean.one"].startswith("61.0 [")
    assert numbers["secret.subset"].startswith("75.0 [")
    assert (numbers["secret.pairs"], numbers["secret.pairs.inside"]) == (8, 4)
    assert (numbers["secret.traced"], numbers["secret.traced.limit"]) == pytest.approx((5, 90))
    assert numbers["secret.known.half"] > numbers["secret.known.tenth"] > 1


def test_a_smoke_run_does_not_attack_the_limit():
    table = pd.DataFrame([*(row for row in attacks() if row["epsilon"] < math.inf), *learnt()])
    record = SimpleNamespace(table=table, provenance=lambda: "made here")
    numbers = secret_start.numbers(secret_start.load({"fashion_mnist": record}, "fashion_mnist"))
    assert numbers["secret.traced"] == pytest.approx(5)
    assert math.isnan(numbers["secret.traced.limit"])


def test_verdicts(view):
    margins = secret_start.verdicts(view)
    assert margins["verdict.secret"] == pytest.approx(0.05)
    assert margins["verdict.useful"].value == pytest.approx(-14)
    view.attacks.loc[view.attacks.kind == "pair", "low"] = 0.5
    share = (view.attacks.kind == "pair").mean()
    assert secret_start.verdicts(view)["verdict.secret"] == pytest.approx(0.05 - share)
    view.attacks.loc[view.attacks.kind == "pair", "low"] = 0.1


def test_keys_are_those_of_the_prose(view, glue_keys):
    prose = glue_keys("tracing")
    assert set(secret_start.numbers(view)) == {key for key in prose if key.startswith("secret.")}
    assert set(secret_start.verdicts(view)) <= prose


def test_known_extractors_cost_more_the_larger_the_step():
    half, tenth, fiftieth = secret_start.known_extractors().values()
    assert half > 1000 * tenth > 1000 * fiftieth > 1000
    assert fiftieth < 3
    assert secret_start.known_extractors(1) != secret_start.known_extractors(2)


def test_table(view):
    table = secret_start.table_front(view)
    assert list(table.columns) == ["0", "1", "10", "inf", "no guarantee"]
    assert table.loc[("10, s = 1", "ConvNet"), "1"].startswith("61.0 ± ")
    assert table.loc[("1, s = 0.5", "ridge on pixels"), "inf"].startswith("66.0 ± ")
    assert table.loc[("10, random subset", "ConvNet"), "no guarantee"].startswith("75.0 ± ")


def test_figure(view):
    figure = secret_start.figure_front(view)
    front, found = figure.axes
    lines = {line.get_label(): line.get_ydata() for line in front.get_lines()}
    assert list(lines)[:3] == ["nearest mean", "ridge on pixels", "ConvNet"]
    assert lines["ConvNet"].tolist() == pytest.approx([11, 61, 65, 66])
    assert lines["ConvNet, real images"][0] == pytest.approx(75)
    assert found.get_lines()[0].get_ydata().tolist() == pytest.approx([40] * 3)
    labels = [container.get_label() for container in found.containers]
    assert labels == ["optimal, worst pair", "optimal, real pair", "tracing in the pool"]
    figure.canvas.draw()
    plt.close(figure)
