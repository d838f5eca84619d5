"""Tracing: which images of a pool are members, from the released data alone, predicted and observed.

A task makes K random halves of a pool of 2 n images a class, a release of each half, and asks of every pool
image whether it is in. Releases (`method`):

    mean  the class means themselves, which linear distribution matching that starts from noise must release,
          whatever its number m of synthetic images (here 0)
    dm    distribution matching, attacked through the means of its images. With a linear extractor it is run
          for several m, and `mean_error` is how far its means are from those of the members; with a ConvNet
          it is attacked through means of pixels and of random features

Attackers are those of `attacks.tracing`. `raw` is the statistic, one threshold for all images; `standardised`
divides it by its spread under the attacker's own covariance. For `mean` the rates are predicted, twice:

    predicted  from the attacker's matrix, and mean and covariance of all training images of a class, to
               leading order in 1/n
    exact      from the pool's own mean and covariance, with the variances of sampling without replacement;
               all that is left to approximate is that sums over members are Gaussian
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from privacy_for_free import shadows
from privacy_for_free.attacks import roc
from privacy_for_free.attacks.evaluation import FPRS
from privacy_for_free.attacks.tracing import LEDOIT_WOLF, Embedding, Knowledge, fit, statistic, without_data
from privacy_for_free.condensation import Run
from privacy_for_free.condensation import dm as distribution_matching
from privacy_for_free.core.randomness import derived_seed, generator
from privacy_for_free.experiments.common import standardised
from privacy_for_free.nets import augmentation, networks
from privacy_for_free.theory import linear
from privacy_for_free.theory import tracing as theory

if TYPE_CHECKING:
    from privacy_for_free.data import Dataset

FPR = 0.001
CALIBRATIONS = ("raw", "standardised")
LINEAR_STEPS = 24  # of linear distribution matching, each of which shrinks the gap to 0.2 of itself
MEAN, DM = "mean", "dm"


@dataclass(frozen=True)
class Design:
    """What is released and attacked.

    ns, factors     members a class of the mean release, and sides of the average pooling of its images
    linear_ns, linear_ms   members and synthetic images a class, where linear distribution matching is run on
                    images pooled by the largest factor
    dm_ns, inits, ipcs, dm, dm_shrinkages   the releases of distribution matching, and what they are whitened
                    by
    targets, dm_targets   K, random halves
    auxiliary       images a class that the disjoint attacker has, at most
    predicted       pool images a class that the predictions average over, at most
    extractors, features   random networks of the mean embedding, and dimensions it is reduced to
    """

    ns: tuple[int, ...]
    factors: tuple[int, ...]
    linear_ns: tuple[int, ...]
    linear_ms: tuple[int, ...]
    targets: int
    dm_ns: tuple[int, ...]
    ipcs: tuple[int, ...]
    dm: distribution_matching.DM
    dm_targets: int
    extractors: int
    features: int
    shrinkages: tuple[float | str, ...] = (1.0, 0.5, 0.1, 0.01, LEDOIT_WOLF)
    dm_shrinkages: tuple[float | str, ...] = (1.0, 0.1, LEDOIT_WOLF)
    inits: tuple[str, ...] = ("noise", "real")
    auxiliary: int = 4000
    predicted: int = 250
    resamples: int = 1000


PROFILES = {
    "smoke": Design(
        ns=(20, 50),
        factors=(4,),
        linear_ns=(20,),
        linear_ms=(1, 5),
        targets=8,
        dm_ns=(20,),
        ipcs=(1,),
        dm=distribution_matching.DM(iterations=3, batch_real=8, width=8),
        dm_targets=8,
        extractors=2,
        features=64,
        predicted=50,
        resamples=100,
    ),
    "laptop": Design(
        ns=(50, 150, 500, 1500),
        factors=(1, 2, 4),
        linear_ns=(150, 500),
        linear_ms=(1, 10, 100),
        targets=64,
        dm_ns=(150, 500),
        ipcs=(1, 10),
        dm=distribution_matching.DM(iterations=200, learning_rate=4.0, batch_real=64, width=32, compile=True),
        dm_targets=32,
        extractors=8,
        features=512,
    ),
    "paper": Design(
        ns=(50, 150, 500, 1500, 2500),
        factors=(1, 2, 4),
        linear_ns=(500, 2500),
        linear_ms=(1, 10, 50, 250),
        targets=256,
        dm_ns=(500, 2500),
        ipcs=(1, 10, 50),
        dm=distribution_matching.DM(iterations=5000, compile=True, mixed_precision=True),
        dm_targets=64,
        extractors=32,
        features=2048,
    ),
}


class Task(NamedTuple):
    """One size: the mean release of images pooled by `factor`, or all releases of distribution matching."""

    method: str
    n: int
    factor: int


def tasks(parameters: Design, dataset: "Dataset") -> list[Task]:
    """Return the sizes that the data set has images for; ValueError where it has them for none.

    A class needs 2 n training images, and 2 more, training or test, for the disjoint attacker.
    """
    classes = len(dataset.classes)
    trained, tested = (
        torch.bincount(labels, minlength=classes) for labels in (dataset.train_labels, dataset.test_labels)
    )
    most = min(int(trained.min()) // 2, (int((trained + tested).min()) - 2) // 2)
    found = [Task(MEAN, n, factor) for n in parameters.ns for factor in parameters.factors if n <= most]
    found += [Task(DM, n, 1) for n in parameters.dm_ns if n <= most]
    if not found:
        raise ValueError(
            f"n {parameters.ns}: {dataset.name} has images for up to {most} members a class, "
            "and as many others"
        )
    return found


class Sample(NamedTuple):
    """Images and labels: N x ... and N."""

    images: torch.Tensor
    labels: torch.Tensor


def run_task(
    task: Task,
    parameters: Design,
    dataset: "Dataset",
    seed: int,
    device: torch.device,
    checkpoint: Path | None = None,
) -> list[dict[str, object]]:
    """Make and attack the releases of one size; a row an attacker, shrinkage, calibration, population."""
    train, test = (
        Sample(images, labels.to(device))
        for images, labels in zip(
            standardised(dataset, device), (dataset.train_labels, dataset.test_labels), strict=True
        )
    )
    classes, own = len(dataset.classes), derived_seed(seed, "tracing", task.n)
    targets = parameters.targets if task.method == MEAN else parameters.dm_targets
    pool = shadows.draw(train.images, train.labels, 2 * task.n * classes, targets, own, classes)
    other = disjoint(pool, train, test, parameters.auxiliary, own)
    if task.method == MEAN:
        return list(_mean_rows(task, parameters, pool, other, train, own))
    return list(_dm_rows(task, parameters, pool, other, dataset, own, checkpoint))


def disjoint(pool: shadows.Pool, train: Sample, test: Sample, most: int, seed: int) -> Sample:
    """Draw up to `most` images a class that are not in the pool, from the rest of training and test set."""
    free = torch.ones(len(train.labels), dtype=torch.bool)
    free[pool.indices] = False
    labels = torch.cat([train.labels, test.labels]).cpu()
    free = torch.cat([free, torch.ones(len(test.labels), dtype=torch.bool)])
    chosen = []
    for c in range(pool.classes):
        candidates = (free & (labels == c)).nonzero()[:, 0]
        order = torch.randperm(len(candidates), generator=generator(seed, "tracing disjoint", c))
        chosen.append(candidates[order[:most]])
    places = torch.cat(chosen)
    of_test = places >= len(train.labels)
    device = train.images.device
    parts = [(train, places[~of_test]), (test, places[of_test] - len(train.labels))]
    return Sample(
        *(torch.cat([part[field][at.to(device)] for part, at in parts]) for field in range(2)),
    )


def class_means(images: torch.Tensor, pool: shadows.Pool) -> torch.Tensor:
    """Return the mean of each half's images (rows, N x d) in each class, float64, K x classes x d."""
    means = images.new_empty((pool.shadows, pool.classes, images.shape[1]))
    for c in range(pool.classes):
        rows = (pool.labels == c).nonzero()[:, 0]
        members = pool.membership[:, rows.cpu()].to(images)
        means[:, c] = members @ images[rows] / members.sum(1, keepdim=True)
    return means


def linear_dm(images: torch.Tensor, pool: shadows.Pool, m: int, seed: int) -> torch.Tensor:
    """Run linear distribution matching on each class of each half, from noise: float64, K x classes x m x d.

    images   the pool's, rows, N x d. One orthogonal extractor is kept, on which the loss is the expected one.
    """
    d = images.shape[1]
    theta = linear.balanced_extractors(
        d, d, generator(seed, "tracing linear extractor", device=images.device)
    )
    released = images.new_empty((pool.shadows, pool.classes, m, d))
    for k, inside in enumerate(pool.membership.to(images.device)):
        for c in range(pool.classes):
            stream = generator(seed, "tracing linear start", m, k, c, device=images.device)
            start = torch.randn((m, d), generator=stream, dtype=images.dtype, device=images.device)
            real = images[inside & (pool.labels == c)]
            step = 0.4 * linear.largest_step(m, d)
            released[k, c] = linear.descend(start, real, theta, LINEAR_STEPS, step)
    return released


def _mean_rows(
    task: Task, parameters: Design, pool: shadows.Pool, other: Sample, train: Sample, seed: int
) -> Iterator[dict[str, object]]:
    known = {  # both before the pool's rows are there to stay: each set of rows can have a gigabyte
        attacker: fit(linear.flatten(source.images, task.factor), source.labels, pool.classes)
        for attacker, source in (("pool", pool), ("disjoint", other))
    }
    images = linear.flatten(pool.images, task.factor)
    means = class_means(images, pool)
    common = {"extractor": "linear", "n": task.n, "dimension": images.shape[1], "init": "noise"}
    common |= {"statistic": "pixels"}
    released = []
    if task.n in parameters.linear_ns and task.factor == max(parameters.factors):
        for m in parameters.linear_ms:
            found = linear_dm(images, pool, m, seed).mean(2)
            error = float(((found - means).norm(dim=2) / means.norm(dim=2)).max())
            own = {"method": DM, "m": m, "mean_error": error, "iterations": LINEAR_STEPS}
            released.append((common | own, found))
    common |= {"method": MEAN, "m": 0}
    for attacker, learnt in known.items():
        laws = _laws(task, parameters, pool, images, learnt, attacker, train)
        for named, scores, spread in _scored(learnt, images, pool.labels, means, parameters.shrinkages):
            row = common | named | {"attacker": attacker}
            row |= _predicted(laws[named["shrinkage"]], spread if named["calibration"] != "raw" else None)
            yield from _rows(row, scores, pool, None, parameters, seed)
        for own, found in released:
            for named, scores, _ in _scored(learnt, images, pool.labels, found, (LEDOIT_WOLF,)):
                yield from _rows(own | named | {"attacker": attacker}, scores, pool, None, parameters, seed)
    row = common | {"attacker": "none", "shrinkage": 1.0, "shrinkage_used": 1.0, "calibration": "raw"}
    yield from _rows(row, without_data(images, pool.labels, means), pool, None, parameters, seed)


def _dm_rows(
    task: Task,
    parameters: Design,
    pool: shadows.Pool,
    other: Sample,
    dataset: "Dataset",
    seed: int,
    checkpoint: Path | None,
) -> Iterator[dict[str, object]]:
    settings = augmentation.published_for(parameters.dm, dataset.name)
    network = networks.build(settings.extractor, tuple(pool.images.shape[1:]), pool.classes, settings.width)
    embedding = Embedding.draw(network, parameters.extractors, parameters.features, seed, pool.images.device)
    maps = {
        "pixels": (linear.flatten, lambda sets: sets.double().mean(2).flatten(2)),
        "features": (embedding.project, embedding.means),
    }
    attacked = []
    for name, (rows_of, means_of) in maps.items():
        images = rows_of(pool.images)
        attacked.append((name, "pool", images, means_of, fit(images, pool.labels, pool.classes)))
        known = fit(rows_of(other.images), other.labels, pool.classes)
        attacked.append((name, "disjoint", images, means_of, known))
    for init in parameters.inits:
        for ipc in parameters.ipcs:
            path = checkpoint and checkpoint.with_suffix(f".dm-{init}-{ipc}.checkpoint")
            run = Run(checkpoint=path, progress=path is not None)
            sets = shadows.release(pool, "dm", init, ipc, settings, seed, run)
            started = shadows.in_initialisation(pool, sets.initial) if init == "real" else None
            common = {"extractor": settings.extractor, "n": task.n, "method": DM, "init": init, "m": ipc}
            common |= {"iterations": settings.iterations, "seconds": sets.seconds}
            for name, attacker, images, means_of, known in attacked:
                means = means_of(sets.images)
                own = common | {"statistic": name, "attacker": attacker, "dimension": images.shape[1]}
                for named, scores, _ in _scored(known, images, pool.labels, means, parameters.dm_shrinkages):
                    yield from _rows(own | named, scores, pool, started, parameters, seed)


def _scored(
    known: Knowledge,
    images: torch.Tensor,
    labels: torch.Tensor,
    means: torch.Tensor,
    shrinkages: tuple[float | str, ...],
) -> Iterator[tuple[dict[str, object], torch.Tensor, torch.Tensor]]:
    """Yield for each shrinkage and calibration its columns, the scores (K x N) and the spread (N)."""
    squares = torch.empty_like(images)
    for c in range(len(known.centres)):
        rows = (labels == c).nonzero()[:, 0]
        squares[rows] = ((images[rows] - known.centres[c]) @ known.basis).square_()
    for shrinkage in shrinkages:
        whitening = known.whitening(shrinkage)
        scores = statistic(images, labels, means, known.centres, whitening)
        spread = whitening.spread_of_squares(squares).clamp_min(torch.finfo(torch.float64).tiny)
        for calibration in CALIBRATIONS:
            named = {"shrinkage": shrinkage, "shrinkage_used": whitening.shrinkage}
            values = scores if calibration == "raw" else scores / spread
            yield named | {"calibration": calibration}, values, spread


class Predicted(NamedTuple):
    """Two laws of the raw statistic of some pool images, and which images those are."""

    reference: theory.Law
    exact: theory.Law
    places: torch.Tensor


def _laws(
    task: Task,
    parameters: Design,
    pool: shadows.Pool,
    images: torch.Tensor,
    known: Knowledge,
    attacker: str,
    train: Sample,
) -> dict[float | str, Predicted]:
    """Return for each shrinkage what theory says of the first images of each class."""
    parts: dict[float | str, list[tuple]] = {shrinkage: [] for shrinkage in parameters.shrinkages}
    for c in range(pool.classes):
        places = (pool.labels == c).nonzero()[:, 0]
        whole, places = images[places], places[: parameters.predicted]
        reference = linear.flatten(train.images[train.labels == c], task.factor)
        for shrinkage, found in parts.items():
            weights = known.whitening(shrinkage).apply(images[places] - known.centres[c])
            moments = [
                _moments(weights, images[places], source, known.centres[c]) for source in (whole, reference)
            ]
            (own, spread, offset), (own_far, spread_far, offset_far) = moments
            exact = theory.pool_law(own, spread, task.n, 2 * task.n, offset)
            if attacker == "pool":
                far = theory.fresh_law(own, spread_far / 2, task.n)  # the pool's mean is known: half is left
            else:
                far = theory.fresh_law(own_far, spread_far, task.n, offset_far)
            found.append((far, exact, places))
    together = {}
    for shrinkage, found in parts.items():
        far, exact, places = zip(*found, strict=True)
        laws = [theory.Law(*map(np.concatenate, zip(*law, strict=True))) for law in (far, exact)]
        together[shrinkage] = Predicted(*laws, torch.cat(places))
    return together


def _moments(
    weights: torch.Tensor, images: torch.Tensor, source: torch.Tensor, centre: torch.Tensor
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return w.(x - mean), w^T Sigma w and w.(mean - centre), mean and Sigma those of the source's rows."""
    mean = source.mean(0)
    variance = (weights @ (source - mean).mT).square().mean(1)
    own, offset = (weights * (images - mean)).sum(1), weights @ (mean - centre)
    return tuple(values.cpu().numpy() for values in (own, variance, offset))


def _predicted(predicted: Predicted, spread: torch.Tensor | None) -> dict[str, object]:
    """Return the columns of the predictions, of scores divided by `spread` (N) if one is given."""
    scale = 1.0 if spread is None else spread[predicted.places].cpu().numpy()
    columns = {"effect": float(np.sqrt(np.mean(predicted.reference.effect**2)))}
    for name, law in (("predicted", predicted.reference.over(scale)), ("exact", predicted.exact.over(scale))):
        curve = theory.mixture_tpr(FPRS, law)
        columns[f"{name}_tpr"] = float(curve[FPRS.index(FPR)])
        columns[f"{name}_auc"] = theory.mixture_auc(law)
        columns[f"{name}_roc"] = " ".join(f"{rate:.8g}" for rate in curve)
    return columns


def _rows(
    known: dict[str, object],
    scores: torch.Tensor,
    pool: shadows.Pool,
    started: torch.Tensor | None,
    parameters: Design,
    seed: int,
) -> Iterator[dict[str, object]]:
    """Yield a row a population: all pairs, or those whose members a release did (not) start from."""
    scores, inside = scores.cpu(), pool.membership
    populations = {"all": torch.ones_like(inside)}
    if started is not None:
        populations["in_initialisation"] = ~inside | started
        populations["not_in_initialisation"] = ~inside | ~started
    for name, counted in populations.items():
        values, members = scores[counted], inside[counted]
        rates, exceeded = roc.tprs_at_fprs(values, members, FPRS)
        strict = FPRS.index(FPR)
        drawn = roc.bootstrap_rates(
            scores > exceeded[strict], inside, counted, derived_seed(seed, "bootstrap"), parameters.resamples
        )[:, 0]
        yield (
            known
            | {
                "population": name,
                "fpr": FPR,
                "observed_tpr": rates[strict].value,
                "low": rates[strict].low,
                "high": rates[strict].high,
                "tpr_bootstrap_low": float(np.nanquantile(drawn, 0.025)),
                "tpr_bootstrap_high": float(np.nanquantile(drawn, 0.975)),
                "auc": roc.auc(values, members),
                "roc": " ".join(f"{rate.value:.8g}" for rate in rates),
                "members": int(members.sum()),
                "nonmembers": int((~members).sum()),
                "targets": pool.shadows,
            }
        )
