"""The experiment on toy images: its cells, its rows, and an attack whose answer is known."""

import dataclasses
from types import SimpleNamespace

import pandas as pd
import pytest
import torch

from privacy_for_free.attacks import optimality
from privacy_for_free.condensation.dm_bank import BankedDM
from privacy_for_free.core.randomness import generator
from privacy_for_free.experiments.optimality import EXPERIMENT, attacking, releases
from privacy_for_free.experiments.optimality.design import Design, Task, kind, tasks, varied
from privacy_for_free.lab import settings, table_text
from privacy_for_free.lab.run import run

CPU = torch.device("cpu")
SMALL = Design(
    cells=(
        "attacks=(('same_law', 2, 'as_is'), ('mlp', 2, 'clipped_inside'), ('convnet_depth_2', 1, 'rounded'))",
        "dm.bank=3; attacks=(('bank', 0, 'as_is'),)",
        "dm.clamp=True; ipc=1",
    ),
    cifar10_cells=("n=8",),
    dm=BankedDM(bank=None, iterations=3, learning_rate=3.0, width=4, augmentation="flip"),
    n=10,
    ipc=2,
    targets=3,
    tuned=1,
    attacks=(("same_law", 2, "as_is"),),
    ridges=(0.01, 1.0),
    features=2,
)


def dataset(name="toy", count=80):
    """Two classes of uniform noise, 1 x 8 x 8."""
    images = torch.rand((count, 1, 8, 8), generator=generator(0, "toy optimality"))
    return SimpleNamespace(
        name=name, sha256="0" * 64, normalised=False, classes=("a", "b"), train_images=images,
        train_labels=torch.arange(count) % 2, test_images=images[:4], test_labels=torch.arange(4) % 2,
        mean=images.mean((0, 2, 3)), std=images.std((0, 2, 3)),
    )  # fmt: skip


def rows(task, design=SMALL):
    """The rows of a task run alone, through the same text as a record's."""
    columns = EXPERIMENT.column_names
    block = table_text.block(EXPERIMENT.run(task, design, dataset(), 0, CPU), columns, 0, sparse=True)
    return table_text.frame(table_text.whole(columns, {0: block}))


@pytest.fixture(scope="module")
def whole():
    small = dataclasses.replace(EXPERIMENT, profiles={"smoke": SMALL})
    return run(small, dataset(), device="cpu", shown=False).table


def test_cells_are_tasks_in_order_and_change_what_they_name():
    assert tasks(SMALL, dataset()) == [Task(cell, 0) for cell in SMALL.cells]
    assert tasks(SMALL, dataset("cifar10")) == [Task("n=8", 0)]
    both = dataclasses.replace(SMALL, classes=(0, 1, 2), cells=("", "n=30", "classes=(1,)"))
    assert tasks(both, dataset()) == [Task("", 0), Task("", 1), Task("classes=(1,)", 1)]
    with pytest.raises(ValueError, match=r"n 10 of classes \(0,\): toy has \[8, 8\] images per class"):
        tasks(SMALL, dataset(count=16))
    bank = varied(SMALL, SMALL.cells[1])
    assert (bank.dm.bank, bank.attacks, bank.n) == (3, (("bank", 0, "as_is"),), 10)
    assert varied(SMALL, "") == SMALL
    assert varied(SMALL, "dm.schedule=constant").dm.schedule == "constant"


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("steps=3", "'steps=3' is no field=value of the design, or of its dm"),
        ("dm.steps=3", "'dm.steps=3' is no field"),
        ("n", "'n' is no field"),
        ("n=0", "n 0: allowed are"),
        ("dm.iterations=-1", "iterations -1: allowed are"),
        ("attacks=(('psychic', 2, 'as_is'),)", "knowledge 'psychic': known are bank, same_law"),
        ("attacks=(('same_law', 2, 'torn'),)", "release 'torn': known are as_is"),
        ("attacks=(('same_law', 0, 'as_is'),)", "extractors 0: allowed are"),
        ("attacks=(('bank', 0, 'as_is'),)", "knowledge 'bank' where the bank is None"),
    ],
)
def test_cells_that_name_nothing_are_refused(cell, message):
    with pytest.raises(ValueError, match=message):
        varied(SMALL, cell)


@pytest.mark.parametrize("name", ["smoke", "laptop", "paper"])
@pytest.mark.parametrize("data", ["fashion_mnist", "cifar10"])
def test_every_cell_of_the_profiles_is_one(name, data):
    design = EXPERIMENT.profiles[name]
    large = SimpleNamespace(
        name=data, classes=tuple(range(10)), train_labels=torch.arange(10).repeat_interleave(6000)
    )
    cells = design.cifar10_cells if data == "cifar10" else design.cells
    found = tasks(design, large)
    assert {task.cell for task in found} == set(cells) == {kind(task) for task in found}
    assert len(set(cells)) == len(cells)
    for cell in cells:
        own = varied(design, cell)
        assert own.targets >= 4
        assert own.tuned >= 2


def test_the_reduced_design_has_every_attacker_and_release():
    laptop = EXPERIMENT.profiles["laptop"]
    reduced = settings.change(laptop, EXPERIMENT.reduced)
    assert len(tasks(reduced, dataset())) == len(reduced.cells)
    used = [
        {(who, what) for cell in cells for who, _, what in varied(design, cell).attacks}
        for design, cells in ((laptop, laptop.cells + laptop.cifar10_cells), (reduced, reduced.cells))
    ]
    for place in (0, 1):
        assert {pair[place] for pair in used[0]} == {pair[place] for pair in used[1]}


def test_rows_fit_the_columns_and_the_cells(whole):
    assert set(whole.columns) == {*EXPERIMENT.column_names, "task"}
    first = whole[whole.task == 0]
    named = list(zip(first.knowledge, first.release, first.pixels, first.attack, strict=True))
    assert named == [
        ("same_law", "as_is", "all", "linear_tracing"),
        ("same_law", "as_is", "all", "optimality"),
        ("mlp", "clipped", "inside", "optimality"),
        ("convnet_depth_2", "rounded", "all", "linear_tracing"),
        ("convnet_depth_2", "rounded", "all", "optimality"),
    ]
    bank = whole[whole.task == 1]
    assert (bank.extractors == 3).all()
    assert (bank.bank == 3).all()
    assert (bank.features == 4).all()
    assert (first.features == 2).all()
    assert set(whole[whole.task == 2].ipc) == {1}
    for name in ("auc", "tpr", "tpr_zero"):
        assert ((whole[name] >= whole[f"{name}_low"]) & (whole[name] <= whole[f"{name}_high"])).all()
    solved = whole[whole.attack == "optimality"]
    assert set(solved.ridge) <= set(SMALL.ridges)
    assert (solved.residual > 0).all()
    assert whole[whole.attack == "linear_tracing"].ridge.isna().all()
    for text, mean in zip(whole.aucs, whole.auc, strict=True):
        values = [float(value) for value in text.split()]
        assert len(values) == 3
        assert sum(values) / 3 == pytest.approx(mean, abs=1e-6)


def test_a_task_alone_gives_the_rows_of_a_whole_run(whole):
    part = whole[whole.task == 1].reset_index(drop=True)
    measured = ["task", "condensing_seconds", "attack_seconds"]
    alone = rows(Task(SMALL.cells[1], 0)).drop(columns=measured)
    pd.testing.assert_frame_equal(alone, part.drop(columns=measured), check_exact=True, check_dtype=False)


def test_halves_are_halves_and_the_same_for_every_cell():
    images = dataset().train_images
    one, other = (releases.draw(images, design, 3) for design in (SMALL, varied(SMALL, "ipc=1")))
    assert torch.equal(one.images, other.images)
    assert torch.equal(one.membership, other.membership)
    assert one.membership.shape == (4, 20)
    assert (one.membership.sum(1) == 10).all()
    assert len(one.membership.unique(dim=0)) == 4
    assert len(one.images.flatten(1).unique(dim=0)) == 20


def test_what_is_done_to_a_release():
    low, high = torch.zeros(1, 1, 1), torch.full((1, 1, 1), 2.0)
    images = torch.tensor([-0.301, 0.5, 1.2345, 2.4]).reshape(4, 1, 1, 1)
    assert torch.equal(releases.published(images, "as_is_inside", (low, high)), images)
    clipped = releases.published(images, "clipped_inside", (low, high))
    assert clipped.flatten().tolist() == pytest.approx([0.0, 0.5, 1.2345, 2.0])
    rounded = releases.published(images, "rounded", (low, high))
    assert (rounded - images).abs().max() <= 1 / 255 + 1e-6
    assert (rounded * 127.5 - (rounded * 127.5).round()).abs().max() < 1e-4


@pytest.mark.parametrize("knowledge", ["bank", "same_law"])
def test_the_pool_passes_each_extractor_once_and_scores_are_the_same(knowledge, monkeypatch):
    design = varied(SMALL, "dm.bank=2")
    halves = releases.draw(dataset().train_images, design, 0)
    problem = releases.problem_of(halves, design, 0)
    extractors = releases.known(knowledge, 2, problem, design, 0, halves.images)
    plain = optimality.Extractors(
        extractors.network, extractors.weights, extractors.transforms, extractors.chosen
    )
    released = torch.randn((2, 3, 1, 8, 8), generator=generator(0, "released"))
    expected = [
        optimality.solve(optimality.equations(plain, halves.images, one, 10), 0.1) for one in released
    ]
    passed, features = [], optimality.Extractors.features

    def counting(self, r, images):
        passed.append(len(images))
        return features(self, r, images)

    monkeypatch.setattr(optimality.Extractors, "features", counting)
    for one, scores in zip(released, expected, strict=True):
        found = optimality.solve(optimality.equations(extractors, halves.images, one, 10), 0.1)
        assert torch.equal(found, scores)
    assert sorted(passed) == [3, 3, 3, 3, 20, 20]  # two releases and the pool, through two extractors each


@pytest.mark.parametrize("shuffled", [False, True])
def test_the_attack_finds_members_of_a_stationary_release_and_nobody_elses(shuffled):
    """A known bank of linear extractors, 64 pixels and 16 candidates: all members, and chance for others."""
    matching = BankedDM(
        bank=4,
        per_step=None,
        iterations=300,
        learning_rate=1.0,
        extractor="linear",
        width=64,
        augmentation="",
    )
    design = dataclasses.replace(
        SMALL, dm=matching, n=8, targets=4, tuned=2, attacks=(("bank", 0, "as_is"),), ridges=(1e-4, 0.1)
    )
    halves = releases.draw(dataset().train_images, design, 0)
    problem = releases.problem_of(halves, design, 0)
    sets = releases.condensed(problem, design, None, False)
    extractors = releases.known("bank", 0, problem, design, 0, halves.images)
    if shuffled:
        halves = halves._replace(membership=halves.membership.roll(3, 0))
    found = list(attacking.attacked(halves, sets.images[:, 0], None, extractors, design))[1]
    assert found["attack"] == "optimality"
    if shuffled:
        assert 0.15 < found["auc"] < 0.85
    else:
        assert found["auc"] == 1.0
        assert found["tpr_zero"] == 1.0
        assert found["residual"] < 1e-3
