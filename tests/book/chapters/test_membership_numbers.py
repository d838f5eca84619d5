"""The chapter's numbers and verdicts, on a table whose answers are known by hand and on the records."""

import math
from types import SimpleNamespace

import pytest

from privacy_for_free.book.chapters import membership, membership_numbers
from privacy_for_free.experiments.plan import RECORDED
from privacy_for_free.lab.store import largest


@pytest.fixture(scope="module")
def numbers(membership_view):
    return membership_numbers.numbers(membership_view)


def test_settings_and_sizes(numbers):
    assert (numbers["pool"], numbers["half"], numbers["width"]) == (10_000, 5000, 16)
    assert (numbers["epochs"], numbers["full.epochs"]) == (100, 20)
    assert numbers["full.augmented"] == "without augmentation"
    assert (numbers["ratio"], numbers["shadows"], numbers["dsa.shadows"]) == (1.0, 64, 16)
    assert numbers["bootstrap.wider.least"] == pytest.approx(2)
    assert numbers["bootstrap.wider.most"] == pytest.approx(2)


def test_cells_of_the_table(numbers):
    assert numbers["fashion_mnist.dm.noise.advantage"] == pytest.approx(3)
    assert numbers["fashion_mnist.dm.noise.advantage.interval"] == "3.0 [2.0,\u00a04.0]"
    assert numbers["fashion_mnist.dm.noise.tpr.interval"] == "0.20 [0.00,\u00a00.40]"
    assert numbers["fashion_mnist.full.real.advantage"] == pytest.approx(7)
    assert numbers["fashion_mnist.full.real.loss.advantage"] == pytest.approx(4)
    assert numbers["fashion_mnist.full.real.most.advantage"] == pytest.approx(7)
    assert numbers["fashion_mnist.full.real.ipc"] == 500
    assert numbers["fashion_mnist.dm.real.ipc"] == 5
    assert numbers["fashion_mnist.dm.real.started.advantage"] == pytest.approx(40)
    assert numbers["fashion_mnist.dm.real.started.tpr"] == pytest.approx(10)
    assert numbers["fashion_mnist.dsa.real.nearest.advantage"] == pytest.approx(95)


def test_a_cell_that_is_not_there_is_no_number(membership_view, numbers):
    assert math.isnan(numbers["cifar10.kip.noise.class_mean.advantage"])
    assert numbers["cifar10.dm.noise.advantage.interval"] == "nan [nan,\u00a0nan]"
    assert membership_numbers.cell(membership_view, "fashion_mnist.kip.noise.class_mean.auc") == 0.6
    assert math.isnan(numbers["fairface.full.real.most.advantage"])


def test_counts_of_comparisons(numbers):
    assert [numbers[f"compared{side}"] for side in ("", ".above", ".below", ".left_out")] == [6, 2, 1, 1]
    counts = {
        part: tuple(numbers[f"fashion_mnist.compared.{part}{side}"] for side in ("", ".above", ".below"))
        for part in ("all", "network", "started", "others")
    }
    assert counts == {"all": (5, 2, 0), "network": (4, 1, 0), "started": (1, 0, 1), "others": (0, 0, 0)}
    assert numbers["cifar10.compared.all"] == 0


def test_differences_to_the_subset(numbers):
    assert numbers["fashion_mnist.dm.noise.advantage.difference"] == "+2.0 [+1.0,\u00a0+3.0]"
    # 0.2 - 0.1 points; each half interval is 0.2, together 0.2 times the root of two.
    assert numbers["fashion_mnist.dm.noise.tpr.difference"] == "+0.10 [-0.18,\u00a0+0.38]"
    assert numbers["cifar10.dm.noise.advantage.difference"] == "+nan [+nan,\u00a0+nan]"


def test_verdicts(membership_view, tmp_path):
    verdicts = membership_numbers.verdicts(membership_view, tmp_path)
    assert verdicts["verdict.average"] == verdicts["verdict.hidden"] == "open"  # no records there
    assert verdicts["verdict.all"] == [-2]  # two above the subset, none below: against condensation
    assert verdicts["verdict.started"] == [1]
    assert verdicts["verdict.images"] == [pytest.approx(5 - 24)]
    (tail,) = verdicts["verdict.tail"]
    assert tail.low < tail.value == pytest.approx(-0.1)
    assert tail.high > 0
    record = SimpleNamespace(table=membership_view.table, meta={"parameters": {}}, provenance=str)
    other = membership_numbers.verdicts(membership.load({"mnist": record}), tmp_path)
    assert [other[key] for key in ("verdict.all", "verdict.started", "verdict.tail", "verdict.images")] == [
        [],
        [],
        [],
        [],
    ]


def test_the_prose_uses_every_number(glue_keys):
    view = membership.load({name: largest("membership", name) for name in RECORDED})
    numbers, verdicts = membership_numbers.numbers(view), membership_numbers.verdicts(view)
    assert {*numbers, *verdicts} == glue_keys("membership")
    assert not [key for key, value in numbers.items() if value != value or "nan" in str(value)]
