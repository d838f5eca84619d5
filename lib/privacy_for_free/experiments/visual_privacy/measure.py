"""What can be seen: how near synthetic images are to the image they started from, to members, to others.

A task condenses each of K random halves of one pool to `ipc` images a class. Of every synthetic image, at
some moments of the condensation, the nearest member and the nearest non-member of its class are searched in
the whole pool, under each distance of `visual`, and the distance to its initial image is measured. (The class
of a synthetic image is released with it.) Images are compared as they are shown: in [0, 1], clipped.

Two things to compare with: a random subset, whose images are members, and as many real images of the data set
that are not in the pool (`unseen`), whose sets cannot know who is a member.

Are members nearer? A half has as many members as non-members of each class. So where a set does not depend on
its half, the nearest image is a member with probability 1/2, and exchanging the two turns a set's share of
such images, or mean difference of the two distances, into its opposite. The images of one set are not
independent: each is made from all of the set's members. The K sets are the unit of every interval and of the
test, which flips the signs of their differences (in all ways, where those are at most RESAMPLES). Halves of
one pool are nearly, not quite, independent: a column of the membership matrix sums to K/2, which makes the
spread of the mean smaller than the test assumes.

The member nearest to a set from real images is likely one of those it started from. So the comparison is also
made without them: these members are left out, and as many random non-members of the class.

The laptop profile is a reduced experiment: a pool of 2,000 images and 14 halves, 3 images a class, a ConvNet
a quarter as wide as the published one; 400 steps of DM for 20,000, 30 networks of DSA for 1,000, 100 steps of
KIP for 300. DSA has hardly moved its images by then. The search is never reduced: it goes through all pairs.
"""

import base64
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from scipy import stats

from privacy_for_free import shadows
from privacy_for_free.attacks import image_distance
from privacy_for_free.attacks.roc import rate
from privacy_for_free.condensation import Run, gradient_matching
from privacy_for_free.condensation import dm as distribution_matching
from privacy_for_free.condensation import kip as kernel_inducing_points
from privacy_for_free.core.randomness import derived_seed, generator, numpy_generator
from privacy_for_free.experiments.common import standardised
from privacy_for_free.nets import augmentation
from privacy_for_free.stats import intervals

if TYPE_CHECKING:
    from privacy_for_free.data import Dataset

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
SUBSET, UNSEEN = "random_subset", "unseen"
POPULATIONS = ("all", "not_in_initialisation")
GROUPS = tuple(product(POPULATIONS, (True, False)))  # population, and whether members are searched
RESAMPLES = 2**14


@dataclass(frozen=True)
class Design:
    """What is condensed and measured.

    pool, sets    images, and K, halves of them
    cells         (method, init, ipc), grouped into tasks by the ipc
    moments       shares of the steps after which the images are looked at
    metrics       of `visual.METRICS`
    optional      leave LPIPS out where its weights are not installed, instead of stopping
    gallery       classes of which a synthetic image of the first set is kept, half of all classes at most
    pictured      metrics whose nearest images are kept with it
    """

    pool: int
    sets: int
    cells: tuple[tuple[str, str, int], ...]
    moments: tuple[float, ...]
    dm: distribution_matching.DM
    dsa: gradient_matching.GradientMatching
    kip: kernel_inducing_points.KIP
    metrics: tuple[str, ...] = image_distance.METRICS
    optional: bool = False
    gallery: int = 2
    pictured: tuple[str, ...] = ("l2", "lpips_vgg")


def _cells(ipcs: tuple[int, ...]) -> tuple[tuple[str, str, int], ...]:
    methods = ((method, init) for method in ("dm", "dsa", "kip") for init in ("real", "noise"))
    return tuple((*cell, ipc) for ipc in ipcs for cell in ((SUBSET, "real"), *methods))


PROFILES = {
    "smoke": Design(
        pool=200,
        sets=4,
        cells=_cells((1,)),
        moments=(0.0, 1.0),
        dm=distribution_matching.DM(iterations=20, batch_real=8, width=8),
        dsa=gradient_matching.GradientMatching(iterations=2, batch_real=8, width=8),
        kip=kernel_inducing_points.KIP(iterations=10, batch_targets=100),
        metrics=("l2", "ssim", "lpips_alex"),
        optional=True,
        gallery=1,
        pictured=("l2",),
    ),
    "laptop": Design(
        pool=2000,
        sets=14,
        cells=_cells((3,)),
        moments=(0.0, 0.1, 0.3, 1.0),
        dm=distribution_matching.DM(iterations=400, learning_rate=4.0, batch_real=64, width=32, compile=True),
        dsa=gradient_matching.GradientMatching(iterations=30, batch_real=64, width=32, compile=True),
        kip=kernel_inducing_points.KIP(iterations=100, batch_targets=1000, compile=True),
    ),
    "paper": Design(
        pool=20_000,
        sets=16,
        cells=_cells((1, 10, 50)),
        moments=(0.0, 0.01, 0.1, 0.3, 1.0),
        dm=distribution_matching.DM(compile=True, mixed_precision=True),
        dsa=gradient_matching.GradientMatching(compile=True),
        kip=kernel_inducing_points.KIP(),
    ),
}


class Task(NamedTuple):
    """All releases of one number of images a class."""

    ipc: int


def tasks(parameters: Design, dataset: "Dataset") -> list[Task]:
    """Return a task for each ipc; ValueError where a class has too few images outside the pool."""
    found = [Task(ipc) for ipc in dict.fromkeys(cell[2] for cell in parameters.cells)]
    classes = len(dataset.classes)
    fewest = int(torch.bincount(dataset.train_labels, minlength=classes).min())
    needed = parameters.pool // classes + parameters.sets * max(task.ipc for task in found)
    if fewest < needed:
        raise ValueError(
            f"a class of {dataset.name} has {fewest} images: {needed} are needed, for the pool and beside it"
        )
    return found


def measured(parameters: Design) -> tuple[str, ...]:
    """Return the metrics that are measured here: all, or those whose weights are there."""
    return tuple(m for m in parameters.metrics if image_distance.available(m) or not parameters.optional)


@dataclass(frozen=True, eq=False)
class Release:
    """K sets of one kind, as they were at some moments.

    moments   number of steps -> images K x classes x ipc x C x H x W, as they are shown
    initial   int64, K x classes x ipc, on the CPU: pool images they started from, -1 for none
    """

    method: str
    init: str
    moments: dict[int, torch.Tensor] = field(repr=False)
    initial: torch.Tensor = field(repr=False)
    seconds: float | None = None

    @property
    def populations(self) -> tuple[str, ...]:
        """Who is searched for the nearest image: for a set from real images also the others alone."""
        return POPULATIONS if bool((self.initial >= 0).all()) else POPULATIONS[:1]


@dataclass(frozen=True, eq=False)
class Found:
    """Distances of a release's images at one moment, under one metric: K x images, float64.

    near      (population, member) -> distance of the nearest; index: which pool image that is
    initial   distance to the initial image, or None
    """

    near: dict[tuple[str, bool], np.ndarray]
    index: dict[tuple[str, bool], np.ndarray]
    initial: np.ndarray | None


def run_task(
    task: Task,
    parameters: Design,
    dataset: "Dataset",
    seed: int,
    device: torch.device,
    checkpoint: Path | None = None,
) -> list[dict[str, object]]:
    """Make the releases of one ipc, and measure them: a row a release, moment, metric and reference."""
    metrics = [image_distance.build(name, device) for name in measured(parameters)]
    images, _ = standardised(dataset, device)
    own = derived_seed(seed, "visual_privacy")
    pool = shadows.draw(
        images,
        dataset.train_labels.to(device),
        parameters.pool,
        parameters.sets,
        own,
        len(dataset.classes),
    )
    made = list(releases(task.ipc, parameters, dataset, pool, own, checkpoint))
    made.append(unseen(task.ipc, dataset, images, pool, own))
    del images
    rows: list[dict[str, object]] = []
    candidates = shown(pool.images, dataset)
    for metric in metrics:
        for (release, step), found in search(metric, made, candidates, pool, own).items():
            common = {
                "method": release.method,
                "init": release.init,
            }
            common |= {"ipc": task.ipc, "metric": metric.name, "iterations": step, "sets": pool.shadows}
            common |= {"members": len(pool.labels) // 2 // pool.classes, "seconds": release.seconds}
            rows += [common | row for row in measurements(release, found, own)]
            if metric.name in parameters.pictured and step == max(release.moments):
                pictured = _kept(parameters, pool.classes, release)
                rows += [common | row for row in neighbours_kept(found, pictured, pool, candidates)]
    common = {"ipc": task.ipc, "sets": pool.shadows}
    for release in made:
        pictured = _kept(parameters, pool.classes, release)
        named = {"method": release.method, "init": release.init}
        rows += [common | named | row for row in images_kept(release, pictured, pool, candidates)]
    return rows


def shown(images: torch.Tensor, dataset: "Dataset") -> torch.Tensor:
    """Return standardised images (... x C x H x W) as they are looked at: float32 in [0, 1], clipped."""
    mean, std = (values.to(images)[:, None, None] for values in (dataset.mean, dataset.std))
    return (images * std + mean).clamp_(0, 1).float()


def releases(
    ipc: int,
    parameters: Design,
    dataset: "Dataset",
    pool: shadows.Pool,
    seed: int,
    checkpoint: Path | None,
) -> Iterator[Release]:
    """Condense the pool's halves by every cell of an ipc."""
    for method, init, size in parameters.cells:
        if size != ipc:
            continue
        settings = augmentation.published_for(getattr(parameters, method, None), dataset.name)
        last = getattr(settings, "iterations", 0)
        steps = sorted({round(share * last) for share in parameters.moments})
        path = checkpoint and checkpoint.with_suffix(f".{method}-{init}-{ipc}.checkpoint")
        run = Run(checkpoint=path, snapshots=tuple(steps), progress=path is not None)
        sets = shadows.release(pool, method, init, ipc, settings, seed, run)
        moments = sets.snapshots or {0: sets.images}
        moments = {step: shown(moments[step].to(pool.images.device), dataset) for step in sorted(moments)}
        yield Release(method, init, moments, sets.initial.cpu(), sets.seconds if last else None)


def unseen(ipc: int, dataset: "Dataset", images: torch.Tensor, pool: shadows.Pool, seed: int) -> Release:
    """Draw K sets of real training images that are not in the pool, all different."""
    free = torch.ones(len(images), dtype=torch.bool)
    free[pool.indices] = False
    chosen = []
    for c in range(pool.classes):
        places = (free & (dataset.train_labels.cpu() == c)).nonzero()[:, 0]
        order = torch.randperm(len(places), generator=generator(seed, "unseen images", ipc, c))
        chosen.append(places[order[: pool.shadows * ipc]].view(pool.shadows, ipc))
    chosen = torch.stack(chosen, 1)
    moments = {0: shown(images[chosen.to(images.device)], dataset)}
    return Release(UNSEEN, "real", moments, torch.full_like(chosen, -1))


def groups(release: Release, pool: shadows.Pool, c: int, seed: int) -> torch.Tensor:
    """Return which pool images of class c each of a release's images is compared with, on the CPU.

    Bool, 5 x (K * ipc) x N_c: for each of GROUPS, and its initial image alone (all, where it has none).
    """
    places = (pool.labels.cpu() == c).nonzero()[:, 0]
    inside, initial = pool.membership[:, places], release.initial[:, c]
    started = shadows.in_initialisation(pool, initial)[:, places]
    spared = ~inside
    for k, row in enumerate(started):
        others = (~inside[k]).nonzero()[:, 0]
        stream = generator(seed, "left out", release.method, release.init, initial.shape[1], c, k)
        spared[k, others[torch.randperm(len(others), generator=stream)[: int(row.sum())]]] = False
    by_set = torch.stack([inside, ~inside, inside & ~started, spared])
    alone = initial.flatten()[:, None] == places
    alone[initial.flatten() < 0] = True
    return torch.cat([by_set.repeat_interleave(initial.shape[1], 1), alone[None]])


def search(
    metric: image_distance.Metric,
    made: list[Release],
    candidates: torch.Tensor,
    pool: shadows.Pool,
    seed: int,
) -> dict[tuple[Release, int], Found]:
    """Find the nearest of the pool, shown as `candidates`, for all images of all releases at all moments."""
    parts: dict[tuple[Release, int], list[image_distance.Neighbours]] = {
        (release, step): [] for release in made for step in release.moments
    }
    device = candidates.device
    for c in range(pool.classes):
        places = (pool.labels == c).nonzero()[:, 0]
        allowed, images, owners, first = [], [], [], 0
        for release in made:
            allowed.append(groups(release, pool, c, seed))
            count = allowed[-1].shape[1]
            for shots in release.moments.values():
                images.append(shots[:, c].flatten(0, 1))
                owners.append(torch.arange(first, first + count))
            first += count
        found = image_distance.nearest(
            metric,
            torch.cat(images),
            candidates[places],
            torch.cat(allowed, 1).to(device),
            torch.cat(owners).to(device),
        )
        sizes = [len(part) for part in images]
        split = zip(found.index.split(sizes, 1), found.distance.split(sizes, 1), strict=True)
        for kept, (index, far) in zip(parts.values(), split, strict=True):
            kept.append(image_distance.Neighbours(places[index].cpu(), far.double().cpu()))
    return {key: _together(key[0], kept, pool.shadows) for key, kept in parts.items()}


def _together(release: Release, parts: list[image_distance.Neighbours], sets: int) -> Found:
    """Put the classes of a release at one moment side by side: K x (classes * ipc)."""
    index, far = (
        np.concatenate([getattr(part, name).unflatten(1, (sets, -1)).numpy() for part in parts], 2)
        for name in image_distance.Neighbours._fields
    )
    started = len(release.populations) > 1
    return Found(
        dict(zip(GROUPS, far, strict=False)),
        dict(zip(GROUPS, index, strict=False)),
        far[len(GROUPS)] if started else None,
    )


def measurements(release: Release, found: Found, seed: int) -> Iterator[dict[str, object]]:
    """Yield the rows of one release, moment and metric."""
    for population in release.populations:
        member, other = (found.near[population, inside] for inside in (True, False))
        named = {"population": population, "images": member.size}
        yield named | {"reference": "nearest_member"} | _mean(member)
        yield named | {"reference": "nearest_nonmember"} | _mean(other)
        differing = _mean(other - member) | {"p_value": sign_flip(other - member, seed)}
        yield named | {"reference": "difference"} | differing
        nearer = (member < other) + 0.5 * (member == other)
        yield (
            named
            | {"reference": "member_nearer"}
            | _share(nearer)
            | {"p_value": sign_flip(nearer - 0.5, seed)}
        )
    if found.initial is not None:
        named = {"population": "all", "images": found.initial.size}
        yield named | {"reference": "initial"} | _mean(found.initial)
        member, other = (found.near["all", inside] for inside in (True, False))
        same = found.index["all", True] == release.initial.flatten(1).numpy()
        yield named | {"reference": "initial_nearest"} | _share(same & (member <= other))


def _interval(values: np.ndarray) -> dict[str, object]:
    """Return mean, low and high of K x images, the sets being the unit (Student's t)."""
    means = values.mean(1)
    if np.ptp(means) <= 1e-12 * np.abs(means).max():  # all the same: no spread to estimate
        return dict.fromkeys(("mean", "low", "high"), float(means[0]))
    found = intervals.mean(means)
    return {"mean": found.value, "low": found.low, "high": found.high}


def _mean(values: np.ndarray) -> dict[str, object]:
    quantiles = zip(("q05", "q25", "q50", "q75", "q95"), np.quantile(values, QUANTILES), strict=True)
    return {"statistic": "mean"} | _interval(values) | dict(quantiles)


def _share(hits: np.ndarray) -> dict[str, object]:
    """Return a share of images; images_low and images_high take them for independent (Clopper-Pearson)."""
    exact = rate(int(hits.sum()), hits.size)
    ends = {"images_low": exact.low, "images_high": exact.high}
    return {"statistic": "share"} | _interval(hits.astype(float)) | ends


def sign_flip(values: np.ndarray, seed: int) -> float:
    """Return the two-sided p-value of K sets (K x images) having a mean of 0, by flips of their signs.

    Exact, where that is at most RESAMPLES ways; drawn at random otherwise.
    """
    means = values.mean(1)
    if not means.any():
        return 1.0
    outcome = stats.permutation_test(
        (means,),
        np.mean,
        permutation_type="samples",
        n_resamples=RESAMPLES,
        rng=numpy_generator(seed, "flips"),
    )
    return float(outcome.pvalue)


def _kept(parameters: Design, classes: int, release: Release) -> list[int]:
    """Return the classes whose first image in the first set is kept: of learnt sets only."""
    if release.method in (SUBSET, UNSEEN):
        return []
    return list(range(min(parameters.gallery, max(1, classes // 2))))


def images_kept(
    release: Release, pictured: list[int], pool: shadows.Pool, candidates: torch.Tensor
) -> Iterator[dict[str, object]]:
    """Yield pictures of a release's own images, and of the real ones they started from."""
    for c in pictured:
        named = {"statistic": "picture", "class_index": c}
        for step, images in release.moments.items():
            yield named | {"reference": "synthetic", "iterations": step} | picture(images[0, c, 0])
        start = int(release.initial[0, c, 0])
        if start >= 0:
            named |= {"reference": "initial", "train_index": int(pool.indices[start])}
            yield named | picture(candidates[start])


def neighbours_kept(
    found: Found, pictured: list[int], pool: shadows.Pool, candidates: torch.Tensor
) -> Iterator[dict[str, object]]:
    """Yield pictures of the nearest member and non-member, with their distance as `mean`."""
    for c in pictured:
        for inside, reference in ((True, "nearest_member"), (False, "nearest_nonmember")):
            images = found.index["all", inside].shape[1] // pool.classes
            place = int(found.index["all", inside][0, c * images])
            named = {"statistic": "picture", "reference": reference, "class_index": c}
            named |= {"population": "all", "train_index": int(pool.indices[place])}
            yield named | {"mean": found.near["all", inside][0, c * images]} | picture(candidates[place])


def picture(image: torch.Tensor) -> dict[str, object]:
    """Return an image (C x H x W, in [0, 1]) as text: 8-bit values, deflated, base64."""
    pixels = (image.cpu() * 255).round().to(torch.uint8).numpy()
    text = base64.b64encode(zlib.compress(pixels.tobytes(), 9)).decode()
    return {"shape": " ".join(map(str, image.shape)), "picture": text}


def read_picture(shape: str, text: str) -> torch.Tensor:
    """Return the image of a row's `shape` and `picture`, float32, C x H x W, in [0, 1].

    >>> kept = picture(torch.tensor([[[0.0, 0.2], [1.0, 0.4]]]))
    >>> read_picture(kept["shape"], kept["picture"])
    tensor([[[0.0000, 0.2000],
             [1.0000, 0.4000]]])
    """
    pixels = np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype=np.uint8)
    return torch.from_numpy(pixels.astype(np.float32) / 255).reshape(*map(int, shape.split()))
