"""Attacks on releases of one class: the optimal one on two neighbouring sets, and tracing in a pool."""

import math
import time
from collections.abc import Callable, Iterator

import torch

from privacy_for_free.attacks import roc, tracing
from privacy_for_free.core.randomness import generator
from privacy_for_free.experiments.secret_start.design import Design, Task, bound
from privacy_for_free.private.secret_start import SecretStart, epsilon_of
from privacy_for_free.shadows import random_halves
from privacy_for_free.stats import intervals
from privacy_for_free.theory import linear, linear_extractors, secret_start
from privacy_for_free.theory.tracing import tpr

FPRS = (0.001, 0.01, 0.1)
CHUNK = 2**24  # numbers of the releases that are made at a time
Draw = Callable[..., torch.Generator]


def accounted(epsilon: float, design: Design, n: int, m: int, spread: float, d: int) -> dict[str, object]:
    """Return the columns of the run that is stopped at this epsilon, of images of d pixels in [-1, 1]."""
    run = SecretStart(n, m, bound(d), spread, design.contraction)
    columns = {"m": m, "spread": spread, "n": n, "epsilon": epsilon}
    if epsilon == math.inf:
        return columns | {"mu": math.inf, "kept": 0.0, "epsilon_spent": math.inf}
    steps = run.most_steps(epsilon) if epsilon else 0
    kept, mu = secret_start.kept(steps, design.contraction), run.mu(steps)
    return columns | {"steps": steps, "kept": kept, "mu": mu, "epsilon_spent": epsilon_of(mu)}


def pairs(rows: torch.Tensor, task: Task, design: Design, draw: Draw) -> Iterator[dict[str, object]]:
    """Attack releases of one class, rows n x d, with and without one image, by the likelihood ratio."""
    (n, d), m, spread = rows.shape, task.m, task.spread
    at, other = divmod(int(torch.cdist(rows, rows).argmax()), n)
    white = torch.ones(d).to(rows)
    error = descent_error(rows.mean(0), task, design, draw)
    for pair, images in (("worst", (white, -white)), ("real", (rows[at], rows[other]))):
        first, second = (rows.mean(0) + (image - rows[at]) / n for image in images)
        apart = float((images[0] - images[1]).norm()) / (2 * bound(d))
        for epsilon in design.attack_epsilons:
            if epsilon == math.inf:  # both sets are told apart by any digit
                continue
            began, columns = time.perf_counter(), accounted(epsilon, design, n, m, spread, d)
            kept, mu = columns["kept"], columns["mu"]
            scores = []
            for side, mean in enumerate((first, second)):
                stream = draw(pair, epsilon, side)
                found = [
                    secret_start.log_ratio(means, first, second, kept, m, spread)
                    for means in _released_means(mean, task, kept, design.runs, stream)
                ]
                scores.append(torch.cat(found).cpu())
            columns |= {"pair": pair, "attacks": design.runs, "seconds": time.perf_counter() - began}
            members = torch.arange(2).repeat_interleave(design.runs) == 1
            columns |= {"auc": roc.auc(torch.cat(scores), members), "descent_error": error}
            for fpr in FPRS:
                # The threshold is that of the law: the log ratio is normal, -e^2/2 and e^2 without the image.
                threshold = torch.special.ndtri(torch.tensor(1 - fpr, dtype=torch.float64))
                effect = mu * apart
                threshold = effect * float(threshold) - effect**2 / 2
                seen = intervals.rate(int((scores[1] > threshold).sum()), design.runs)
                yield columns | _rates(fpr, seen, mu) | {"predicted_tpr": float(tpr(fpr, effect))}


def descent_error(mean: torch.Tensor, task: Task, design: Design, draw: Draw) -> float:
    """Run the descent itself on a set of the class's mean, and compare its images with the closed form."""
    d, m = len(mean), task.m
    k = math.gcd(d, 16)
    extractors = linear_extractors.balanced_extractors(k, d, draw("basis"))
    step_size = (1 - design.contraction) * m / (2 * k)
    start = torch.randn((m, d), generator=draw("descent"), dtype=mean.dtype, device=mean.device) * task.spread
    found = linear.descend(start, mean[None], extractors, design.check_steps, step_size)
    kept = secret_start.kept(design.check_steps, design.contraction)
    expected = secret_start.released(start, mean, kept)
    return float((found - expected).norm() / expected.norm())


def traced(rows: torch.Tensor, task: Task, design: Design, draw: Draw) -> Iterator[dict[str, object]]:
    """Trace the members of random halves of a pool, rows 2n x d, by who has the pool and knows the noise.

    The statistic is the linear one, with the covariance of a release: that of a half's mean, and the noise.
    """
    d, n, labels = rows.shape[1], design.traced, torch.zeros(len(rows), dtype=torch.int64)
    membership = random_halves(design.halves, labels, generator(0, "halves", *task))
    labels = labels.to(rows.device)
    means = tracing.class_means(rows, labels, membership, 1)
    known = tracing.fit(rows, labels, 1)
    for epsilon in design.attack_epsilons:
        began, columns = time.perf_counter(), accounted(epsilon, design, n, task.m, task.spread, d)
        noise = secret_start.noise_of_mean(columns["kept"], task.m, task.spread)
        drawn = torch.randn(means.shape, generator=draw("traced", epsilon), dtype=means.dtype)
        relative = noise**2 * (2 * n - 1) / float(known.values.mean())
        shrinkage = max(relative / (1 + relative), 1e-9)
        (scores,) = tracing.scores(known, rows, labels, means + noise * drawn.to(means), (shrinkage,))
        columns |= {"attacks": int(membership.sum()), "auc": roc.auc(scores.raw.cpu(), membership)}
        columns |= {"seconds": time.perf_counter() - began}
        for fpr, seen in zip(FPRS, roc.tprs_at_fprs(scores.raw.cpu(), membership, FPRS)[0], strict=True):
            yield columns | _rates(fpr, seen, columns["mu"])


def _released_means(
    mean: torch.Tensor, task: Task, kept: float, runs: int, stream: torch.Generator
) -> Iterator[torch.Tensor]:
    """Yield the means of `runs` releases, some at a time; the images themselves are made, and averaged."""
    each = max(1, CHUNK // (task.m * len(mean)))
    for first in range(0, runs, each):
        shape = (min(each, runs - first), task.m, len(mean))
        starts = torch.randn(shape, generator=stream, dtype=mean.dtype, device=mean.device) * task.spread
        yield (starts + (1 - kept) * (mean - starts.mean(1, keepdim=True))).mean(1)


def _rates(fpr: float, seen: intervals.Interval, mu: float) -> dict[str, object]:
    columns = {"fpr": fpr, "observed_tpr": seen.value, "low": seen.low, "high": seen.high}
    return columns | {"cap_tpr": float(tpr(fpr, mu))}
