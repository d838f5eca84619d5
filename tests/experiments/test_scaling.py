"""What is counted of the book's operations, against formulas, and sizes that are refused."""

import dataclasses

import pandas as pd
import pytest
import torch

from privacy_for_free import data
from privacy_for_free.attacks import lira
from privacy_for_free.book import budget
from privacy_for_free.core.roofline import flops
from privacy_for_free.experiments.scaling import EXPERIMENT
from privacy_for_free.experiments.scaling.design import Task
from privacy_for_free.experiments.scaling.operations import OPERATIONS
from privacy_for_free.experiments.scaling.setting import Setting
from privacy_for_free.nets import networks

CPU = torch.device("cpu")
SMOKE = EXPERIMENT.profiles["smoke"]
QUICK = dataclasses.replace(SMOKE, repeats=1, square=32, block_mib=1)
COUNTED = ["operation", "variable", "value", "n", "m", "K", "ipc", "memory_bytes", "flops", "bytes"]


@pytest.fixture(scope="module")
def dataset():
    return data.load("fashion_mnist_mini")


@pytest.fixture(scope="module")
def table(dataset):
    tasks = EXPERIMENT.tasks(QUICK, dataset)
    rows = [row for task in tasks for row in EXPERIMENT.run(task, QUICK, dataset, 3, CPU)]
    assert all(set(row) <= set(EXPERIMENT.column_names) for row in rows)
    return pd.DataFrame(rows)


def of(table, operation, variable):
    return table[(table.operation == operation) & (table.variable == variable)]


def test_a_row_for_each_size(table):
    for operation, variable, sizes in QUICK.measured:
        rows = of(table, operation, variable)
        assert tuple(rows.value) == sizes
        assert (rows[variable] == rows.value).all()
    assert (table.seconds_low <= table.seconds).all()
    assert (table.seconds <= table.seconds_high).all()
    assert (table[["memory_bytes", "flops", "bytes", "fraction"]] > 0).all(axis=None)


def test_rates_and_the_fraction_follow_from_counts_and_seconds(table):
    arithmetic, memory = table.flops / table.ceiling_flops, table.bytes / table.ceiling_bytes
    assert ((table.bound == "arithmetic") == (arithmetic >= memory)).all()
    for rate, expected in (
        (table.fraction, arithmetic.where(arithmetic > memory, memory)),
        (table.flops_per_second, table.flops),
        (table.bytes_per_second, table.bytes),
    ):
        assert (rate * table.seconds).tolist() == pytest.approx(expected.tolist())


def test_the_closed_form_is_counted_as_written(table):
    d, m = 784, QUICK.ipc
    rows = of(table, "linear_dm", "n")
    # the sums of n and of m images, the difference of the means, and its addition to m images
    assert (rows.flops == (rows.n + m + 1 + m) * d).all()
    assert (rows.bytes == 8 * d * (rows.n + 2 * m)).all()


def test_the_class_mean_is_counted_as_written(table):
    d, classes, K, ipc = 784, 10, QUICK.K, QUICK.ipc
    rows = of(table, "class_mean", "n")
    pool = 2 * rows.n * d  # centres, and images less their centre
    released = K * classes * d * (ipc + 1)  # means of releases, less the centre
    assert (rows.flops == 2 * K * rows.n * d + pool + released).all()
    assert (rows.bytes == rows.n * (4 * d + 8) + 4 * K * classes * ipc * d + 8 * K * rows.n).all()


def test_the_network_is_counted_layer_by_layer(table):
    network = networks.build("convnet", (1, 28, 28), 10, QUICK.width)
    image = network.operations + 2 * network.feature_dim * 10
    for side in (32, 16, 8):
        pixels = QUICK.width * side**2
        image += 6 * pixels + 3 * QUICK.width  # norm, ReLU and pooling; the norm's scale
    rows = of(table, "evaluation", "n")
    rows = rows[rows.n <= 200]  # one chunk: more of them are filled up to one size
    assert (rows.flops == rows.n * image).all()


def test_lira_costs_a_number_of_operations_for_each_target_and_example():
    def count(K, n):
        stream = torch.Generator().manual_seed(K + n)
        values = torch.randn((K, n), generator=stream, dtype=torch.float64)
        inside = torch.rand((K, n), generator=stream).argsort(0) < K // 2
        return flops(lambda: lira.scores(values, inside))

    each = count(16, 60) - count(16, 40) - count(8, 60) + count(8, 40)  # all that is not of K times n is gone
    assert each % (8 * 20) == 0
    assert 40 <= each / (8 * 20) <= 80  # two Gaussians, two densities: about sixty
    again = count(32, 60) - count(32, 40) - count(8, 60) + count(8, 40)
    assert again == 3 * each


def test_lira_reads_statistics_and_members_and_writes_scores(table):
    rows = pd.concat([of(table, "lira", "K"), of(table, "lira", "n")])
    assert (rows.bytes == 17 * rows.K * rows.n).all()


def test_exponents_of_what_is_counted(table):
    found = budget.exponents(table).set_index(["operation", "variable"])
    for cell in (("lira", "K"), ("lira", "n"), ("training", "m")):
        assert found.work[cell] == pytest.approx(1, abs=0.05)
    assert 0.8 < found.work["class_mean", "n"] <= 1
    assert 0.9 < found.work["linear_dm", "n"] < 1  # the initial images are the constant part
    assert 1 < found.work["kip_step", "m"] < 2  # targets, then the kernel of the points themselves
    assert 0 < found.work["dm_step", "ipc"] < 1  # real images are the constant part
    assert found.memory["lira", "K"] == pytest.approx(1, abs=0.05)


def test_distribution_matching_passes_real_images_once_for_all_sets(table):
    rows = of(table, "dm_step", "K")
    forward = networks.build("convnet", (1, 28, 28), 10, QUICK.width).operations
    added = rows.flops.diff().iloc[1:] / rows.K.diff().iloc[1:]  # by one more set
    images = 10 * QUICK.ipc
    assert ((2 * images * forward < added) & (added < 4 * images * forward)).all()
    assert rows.n.nunique() == 1


def test_counts_are_the_same_again_and_the_global_generator_is_left_alone(dataset):
    state = torch.random.get_rng_state()
    for task in (Task("dm_step", "ipc"), Task("training", "m")):
        one, two = (
            pd.DataFrame(EXPERIMENT.run(task, QUICK, dataset, 5, CPU)).reindex(columns=COUNTED) for _ in "ab"
        )
        pd.testing.assert_frame_equal(one, two)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_the_seed_draws_the_inputs(dataset):
    task = Task("lira", "K")
    results = [OPERATIONS["lira"](Setting(task, QUICK, dataset, seed, CPU))(8).call() for seed in (0, 0, 1)]
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"repeats": 0}, "repeats 0: allowed are whole numbers from 1 up"),
        ({"width": True}, "width True: allowed are whole numbers from 1 up"),
        ({"n": 2.5}, "n 2.5: allowed are whole numbers from 1 up"),
        ({"K": 4}, "K 4: allowed are whole numbers from 6 up"),
        ({"K": 7}, "K 7: allowed are even numbers"),
        ({"measured": (("sort", "n", (1, 2, 4)),)}, "operation 'sort': known are dm_step, .*linear_dm"),
        ({"measured": (("lira", "m", (1, 2, 4)),)}, "variable 'm' of lira: known are K, n"),
        ({"measured": (("lira", "n", (1, 2)),)}, r"sizes \(1, 2\) of lira: allowed are three whole"),
        ({"measured": (("lira", "n", (4, 2, 1)),)}, "sizes .* growing, from 1"),
        ({"measured": (("lira", "n", (0, 2, 4)),)}, "sizes .* growing, from 1"),
    ],
)
def test_what_cannot_be_measured(change, says):
    with pytest.raises(ValueError, match=says):
        dataclasses.replace(SMOKE, **change)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"pool": 410},
            "pool 410: allowed are multiples of 20 up to 10000, the images of fashion_mnist_mini",
        ),
        ({"targets": 205}, "targets 205: allowed are multiples of 10"),
        ({"measured": (("linear_dm", "n", (1, 2, 1001)),)}, "n of linear_dm 1001: .* up to 1000"),
        ({"measured": (("kip_step", "m", (5, 10, 20)),)}, "m of kip_step 5: allowed are multiples of 10"),
        ({"measured": (("lira", "K", (4, 8, 16)),)}, "K of lira 4: allowed are even numbers from 6 up"),
        ({"measured": (("dm_step", "K", (1, 2, 4)),)}, "K of dm_step 1: allowed are multiples of 2"),
    ],
)
def test_sizes_that_the_data_does_not_have(dataset, change, says):
    with pytest.raises(ValueError, match=says):
        EXPERIMENT.tasks(dataclasses.replace(SMOKE, **change), dataset)
