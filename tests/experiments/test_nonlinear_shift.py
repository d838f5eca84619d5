"""The experiment's rows where the answer is known: one step, a smooth extractor, a kink, x in the start."""

import dataclasses
from functools import partial
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from privacy_for_free import condensation
from privacy_for_free.condensation import dm
from privacy_for_free.core.randomness import derived_seed, generator
from privacy_for_free.experiments.nonlinear_shift import EXPERIMENT, material, trained
from privacy_for_free.experiments.nonlinear_shift.design import REMOVED, Task, kind, tasks
from privacy_for_free.lab import settings
from privacy_for_free.lab.run import designed
from privacy_for_free.nets import networks
from privacy_for_free.stats import slopes

CPU = torch.device("cpu")


def dataset(count=160):
    labels = torch.arange(count) % 2
    images = torch.randn((count, 1, 8, 8), generator=generator(0, "toy images")) + labels[:, None, None, None]
    return SimpleNamespace(
        name="toy", sha256="0" * 64, normalised=False, classes=("a", "b"), train_images=images,
        train_labels=labels, test_images=images[:40], test_labels=labels[:40],
        mean=images.mean((0, 2, 3)), std=images.std((0, 2, 3)),
    )  # fmt: skip


SMALL = dataclasses.replace(
    EXPERIMENT.profiles["smoke"],
    ns=(10, 20, 40),
    dm=dm.DM(iterations=3, learning_rate=4.0, width=4, augmentation=""),
    width=4,
)


@pytest.fixture(scope="module")
def table():
    data = dataset()
    rows = []
    for task in tasks(SMALL, data):
        rows += EXPERIMENT.run(task, SMALL, data, 0, CPU)
    return pd.DataFrame(rows, columns=EXPERIMENT.column_names)


def select(table, **values):
    for column, value in values.items():
        table = table[table[column] == value]
    return table


def test_first_step_moves_by_the_target_and_falls_as_one_over_n(table):
    """One step is a step of equal length against two targets: the gradient is linear in the target."""
    rows = select(table, extractor="convnet", iterations=1, init="noise", in_initialisation=False, m=2)
    for (_, _), own in rows.groupby(["x", "seed"]):
        own = own.sort_values("n")
        ratio = own["shift"].to_numpy() * own.n.to_numpy()
        assert ratio.max() / ratio.min() < 2
    fitted = slopes.log_log(rows.n, rows["shift"], within=rows.x, clusters=rows.seed)
    assert fitted.value == pytest.approx(-1, abs=0.2)


def test_one_step_is_the_gradient_of_a_slow_twin():
    """The shift after one step, from the definition: two losses differentiated, two sets moved."""
    data = dataset()
    task = Task("convnet", 2, 0)
    rows = pd.DataFrame(EXPERIMENT.run(task, SMALL, data, 0, CPU))
    images = material.draw(task, SMALL, data, 0, CPU)
    row = rows.query("iterations == 1 and n == 20 and init == 'noise' and x == 'typical'").iloc[0]
    network = networks.build("convnet", (1, 8, 8), 1, 4)
    own = derived_seed(0, "nonlinear extractors", 0)
    theta = network.initial(generator(own, "condensation extractor", 0), classifier=False)
    moved = []
    for real in (images.real[:20], images.real[1:20]):
        s = images.starts["noise"][0].clone().requires_grad_(True)
        gap = network.features(theta, real).mean(0) - network.features(theta, s).mean(0)
        (gradient,) = torch.autograd.grad(gap.square().sum(), s)
        moved.append(s.detach() - 4.0 * gradient)
    expected = float((moved[0] - moved[1]).double().norm())
    assert row["shift"] == pytest.approx(expected, rel=1e-3)
    assert row.moved == pytest.approx(
        float((moved[0] - images.starts["noise"][0]).flatten(1).norm(dim=1).mean()), rel=1e-3
    )


def test_image_in_the_start_moves_the_set_however_large_n_is(table):
    rows = select(table, extractor="convnet_gelu", iterations=1, in_initialisation=True)
    own = rows.groupby("n")["shift"].mean()
    assert own.max() / own.min() < 1.5
    others = select(table, extractor="convnet_gelu", iterations=1, in_initialisation=False, init="real")
    assert own.min() > 3 * others.groupby("n")["shift"].mean().max()


def test_bounds_lie_over_the_shift_of_the_smooth_extractor(table):
    rows = select(table, extractor="tanh")
    assert len(rows) == 3 * 2 * 3 * 2  # replicates, starts, sizes, numbers of steps
    assert (rows["shift"] <= rows.bound * (1 + 1e-9)).all()
    assert (rows.bound < rows.bound_proved).all()
    minimum = select(table, extractor="tanh_minimum")
    assert len(minimum) > 0
    assert (minimum.mu > 0).all()
    large = minimum[minimum.n == 40]
    assert (large["shift"] <= large.bound * 1.2).all()
    np.testing.assert_allclose(large["shift"], large.predicted, rtol=0.3)


def test_gradient_is_lipschitz_where_the_activation_is_smooth(table):
    rows = table[table.delta.notna() & (table.networks == 1)]
    small = rows[(rows.delta >= 1e-3) & (rows.delta <= 1e-1)]
    smooth = select(small, extractor="convnet_gelu")
    for _, own in smooth.groupby(["seed", "init"]):
        slope = np.polyfit(np.log(own.delta), np.log(own.gradient_change), 1)[0]
        assert slope == pytest.approx(1, abs=0.02)
    kinked = select(small, extractor="convnet", init="real")
    ratio = (kinked.gradient_change / kinked.delta).groupby(kinked.seed)
    assert (ratio.max() / ratio.min()).max() > 2  # jumps where a unit changes sides: no one constant


def test_trained_networks_differ_less_than_two_trainings(table):
    rows = select(table, extractor="convnet", iterations=3)
    assert (rows.output_change > 0).all()
    assert (rows[~rows.in_initialisation.astype(bool)].output_change < rows.output_reseeded.min()).all()
    assert rows.probability_change.between(0, 1).all()
    assert select(table, extractor="mlp").output_change.isna().all()


def test_a_task_alone_gives_the_rows_of_the_whole_run(table):
    data = dataset()
    task = tasks(SMALL, data)[2]
    again = pd.DataFrame(EXPERIMENT.run(task, SMALL, data, 0, CPU), columns=EXPERIMENT.column_names)
    stored = select(table[table.delta.isna()], extractor=task.extractor, m=task.m, seed=task.replicate)
    assert len(again) == len(stored)
    for column in ("shift", "shift_largest", "moved", "loss"):
        np.testing.assert_array_equal(again[column].astype(float), stored[column].astype(float))


def test_sets_are_nested_and_lack_only_x():
    cases, sets = material.plan(SMALL)
    for case in cases:
        n, lacking, start = sets[case.without]
        assert (n, lacking, start) == (case.n, REMOVED.index(case.x), case.start)
        assert sets[case.whole] == (case.n, None, case.start)
    images = material.draw(Task("convnet", 2, 0), SMALL, dataset(), 0, CPU)
    whole, without = images.starts["x"]
    assert torch.equal(whole[0], images.real[0])
    assert torch.equal(whole[1:], without[1:])
    for image in (*images.starts["real"][0], without[0]):
        assert not torch.equal(image, images.real[0])


def test_kill_and_resume_within_a_task(tmp_path, monkeypatch):
    data, task = dataset(), Task("convnet", 2, 0)
    whole = EXPERIMENT.run(task, SMALL, data, 0, CPU)
    real = dm.Matcher.loss_and_gradient

    def broken(self, index, images):
        if index == 2:
            raise KeyboardInterrupt
        return real(self, index, images)

    monkeypatch.setattr(trained, "Run", partial(condensation.Run, every=1))
    monkeypatch.setattr(dm.Matcher, "loss_and_gradient", broken)
    path = tmp_path / "task.checkpoint"
    with pytest.raises(KeyboardInterrupt):
        EXPERIMENT.run(task, SMALL, data, 0, CPU, checkpoint=path)
    assert path.exists()
    monkeypatch.setattr(dm.Matcher, "loss_and_gradient", real)
    resumed = EXPERIMENT.run(task, SMALL, data, 0, CPU, checkpoint=path)
    for one, other in zip(whole, resumed, strict=True):
        assert {**one, "seconds": 0} == {**other, "seconds": 0}


def test_every_set_is_condensed_from_its_own_images():
    _, sets = material.plan(SMALL)
    rows = material.membership(sets, 40)
    for (n, lacking, _), row in zip(sets, rows, strict=True):
        assert row.nonzero()[:, 0].tolist() == [place for place in range(n) if place != lacking]


def test_extractors_that_are_networks():
    smooth, kinked = (trained.network(name, (1, 8, 8), 4) for name in ("convnet_gelu", "convnet"))
    assert smooth == networks.ConvNet(1, 8, 1, 4, activation="gelu")
    assert kinked == networks.ConvNet(1, 8, 1, 4)
    assert trained.network("mlp", (1, 8, 8), 4) == networks.MLP(1, 8, 1, 4)


def test_the_last_stop_follows_the_number_of_steps():
    fewer, _ = designed(EXPERIMENT, "laptop", {"dm.iterations": 10})
    assert (fewer.dm.iterations, fewer.stops) == (10, (1, 2, 5, 10))
    more, _ = designed(EXPERIMENT, "smoke", {"dm.iterations": 6})
    assert more.stops == (1, 3, 6)
    given, _ = designed(EXPERIMENT, "laptop", {"dm.iterations": 10, "stops": (4, 10)})
    assert given.stops == (4, 10)
    with pytest.raises(ValueError, match=r"stops \(1, 20\): the last allowed is the 40 of dm.iterations"):
        designed(EXPERIMENT, "laptop", {"stops": (1, 20)})


def test_reduced_design_has_every_kind_of_task():
    laptop = EXPERIMENT.profiles["laptop"]
    reduced = settings.change(laptop, EXPERIMENT.reduced)
    assert reduced.dm.compile
    assert reduced.schedule.compile
    assert reduced.stops[-1] == reduced.dm.iterations
    many = SimpleNamespace(name="many", classes=("a",), train_labels=torch.zeros(5000, dtype=torch.int64))
    assert {kind(task) for task in tasks(reduced, many)} == {kind(task) for task in tasks(laptop, many)}


def test_too_few_images():
    with pytest.raises(ValueError, match="toy: a class of 20 images, allowed are 40 or more"):
        tasks(SMALL, dataset(40))
    with pytest.raises(ValueError, match="n 3: allowed are 5 or more"):
        tasks(dataclasses.replace(SMALL, ns=(3, 40)), dataset())
