"""Which of many images looks nearest, and whether the members of a set do.

`nearest` searches candidates in groups. `search` asks it the question of a release: K sets of synthetic
images, each made from a half of one pool, are compared with the members and the non-members of their class.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import NamedTuple

import numpy as np
import torch

from privacy_for_free.attacks.confidences import check_labels
from privacy_for_free.attacks.image_distance.metrics import CHUNK, Metric, check_metric, checked, same_type
from privacy_for_free.core import plain, validate
from privacy_for_free.core.entrance import MASK, SHOWN, entrance
from privacy_for_free.core.randomness import generator

MEMORY = 2 * 2**30  # bytes of features that a search holds
POPULATIONS = ("all", "not_in_initialisation")
GROUPS = tuple(product(POPULATIONS, (True, False)))  # population, and whether members are searched


class Neighbours(NamedTuple):
    """The nearest candidates of M images, among G groups of them: G x M each.

    index     int64, which candidate; the first of those that are equally near
    distance  how far
    """

    index: torch.Tensor
    distance: torch.Tensor


@entrance(
    images=SHOWN,
    candidates=SHOWN,
    allowed=MASK,
    shapes="images M? C H W, candidates N C H W, allowed G K N, owner M?",
)
def nearest(
    metric: Metric,
    images: torch.Tensor,
    candidates: torch.Tensor,
    allowed: torch.Tensor,
    owner: torch.Tensor,
    memory: int = MEMORY,
) -> Neighbours:
    """Search all candidates for the nearest to each image, among those that are allowed to it.

    images      M x C x H x W
    candidates  N x C x H x W
    allowed     bool, G x K x N: G groups of the candidates, for each of K owners of images
    owner       int64, M: whose image it is
    memory      bytes that the candidates' features may take; more of them are done a block at a time

    Which one is nearest is found from the distances of all pairs. How far it is comes from the pair itself
    where the others are not precise. An image is then at a distance of 0 from itself, up to rounding: 1e-6
    for SSIM, 1e-9 for LPIPS, as the last bits of a convolution depend on how many images it is given.
    Images and candidates of different dtypes are compared in float64. ValueError for shapes that do not fit,
    images that are not floats from 0 to 1, and where an owner is allowed no candidate of a group.
    """
    G, M, N = len(allowed), len(images), len(candidates)
    check_metric(metric)
    if M and int(owner.max()) >= allowed.shape[1]:
        raise ValueError(f"owner up to {int(owner.max())}: allowed are 0 to {allowed.shape[1] - 1}")
    images, candidates = same_type(images, candidates)
    validate.whole("memory", memory, 1)
    if not bool(allowed.any(2).all()):
        g, k = (~allowed.any(2)).nonzero()[0].tolist()
        raise ValueError(f"allowed: group {g} allows owner {k} no candidate; one or more have to be")
    images, candidates = checked(images), checked(candidates)
    example = metric.embed(candidates[:1])
    size = max(1, memory // (example.numel() * example.element_size()))
    index = torch.zeros((G, M), dtype=torch.int64, device=images.device)
    best = torch.full((G, M), torch.inf, dtype=images.dtype, device=images.device)
    for start in range(0, N, size):
        known = torch.cat([metric.embed(part) for part in candidates[start : start + size].split(CHUNK)])
        for rows in torch.arange(M, device=images.device).split(CHUNK):
            embedded = metric.embed(images[rows])
            distances = metric.matrix(embedded, known)
            if bool(distances.isnan().any()):
                candidate = start + int(distances.isnan().nonzero()[0, 1])
                raise ValueError(
                    f"metric {metric.name}: the distance to candidate {candidate} is not a number"
                )
            for g in range(G):
                usable = allowed[g, owner[rows], start : start + size]
                chosen, distance = _nearest_usable(metric, embedded, known, distances, usable)
                nearer = distance < best[g, rows]
                best[g, rows[nearer]] = distance[nearer]
                index[g, rows[nearer]] = start + chosen[nearer]
    return Neighbours(index, best)


def _nearest_usable(
    metric: Metric,
    embedded: torch.Tensor,
    known: torch.Tensor,
    distances: torch.Tensor,
    usable: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return each image's nearest known candidate that is usable, and its distance; infinite without one."""
    chosen = distances.masked_fill(~usable, torch.inf).argmin(1)
    if metric.precise:
        distance = distances.gather(1, chosen[:, None])[:, 0]
    else:
        distance = metric.pairs(embedded, known[chosen])
    return chosen, distance.masked_fill(~usable.any(1), torch.inf)


@entrance
@dataclass(frozen=True, eq=False)
class Release:
    """K sets of one kind, as they were at some moments.

    method, init   how they were made; the choice of the non-members that are left out is derived from both
    moments   number of steps -> images K x classes x ipc x C x H x W, as they are shown: floats in [0, 1]
    initial   int64, K x classes x ipc, on the CPU: pool images they started from, -1 for none
    seconds   to make all sets, None where nothing was learnt
    """

    method: str
    init: str
    moments: dict[int, torch.Tensor] = field(repr=False)
    initial: torch.Tensor = field(repr=False)
    seconds: float | None = None

    def __post_init__(self) -> None:
        """Refuse no moments, and images or initial images of other shapes; the initial ones are copied."""
        initial = self.initial.clone()
        sets = tuple(initial.shape)
        whole = not (initial.is_floating_point() or initial.dtype is torch.bool)
        if not whole or len(sets) != 3 or 0 in sets or int(initial.min()) < -1:
            raise ValueError(
                f"initial {initial.dtype} {sets}: allowed are whole numbers from -1 up, K x classes x ipc"
            )
        object.__setattr__(self, "initial", initial.long())
        if not self.moments:
            raise ValueError("moments of none: allowed are one or more")
        moments = {step: plain.tensor(f"moments[{step!r}]", shots) for step, shots in self.moments.items()}
        object.__setattr__(self, "moments", moments)
        for step, found in moments.items():
            if found.dim() != 6 or found.shape[:3] != initial.shape:
                raise ValueError(
                    f"moments[{step!r}] {tuple(found.shape)}: allowed is {sets}, as of initial, x C x H x W"
                )

    @property
    def populations(self) -> tuple[str, ...]:
        """Who is searched for the nearest image: for a set from real images also the others alone."""
        return POPULATIONS if bool((self.initial >= 0).all()) else POPULATIONS[:1]


@dataclass(frozen=True, eq=False)
class NearestOfSets:
    """What is nearest to a release's images at one moment, under one metric: arrays K x (classes * ipc).

    distance   (population, member) -> distance of the nearest, float64
    index      (population, member) -> which pool image that is, int64
    initial    distance to the initial image, float64, or None
    """

    distance: dict[tuple[str, bool], np.ndarray]
    index: dict[tuple[str, bool], np.ndarray]
    initial: np.ndarray | None


@entrance(shapes="labels N, membership K N")
def groups(
    release: Release, labels: torch.Tensor, membership: torch.Tensor, c: int, seed: int
) -> torch.Tensor:
    """Return which pool images of class c each of a release's images is compared with, on the CPU.

    labels, membership   the pool's, as `search` has them

    Bool, 5 x (K * ipc) x N_c: for each of GROUPS, and its initial image alone (all, where it has none). The
    members that a set started from are left out of the third group, and as many random non-members out of
    the fourth. ValueError for a class that is not in the release or has no pool image, and for other shapes.
    """
    _check_release(release, labels, membership)
    validate.whole("c", c, 0, release.initial.shape[1] - 1)
    places = (labels.cpu() == c).nonzero()[:, 0]
    inside, initial = membership[:, places], release.initial[:, c]
    if len(places) == 0:
        raise ValueError(f"labels: no pool image is of class {c}; allowed are one or more of each class")
    started = (initial[:, :, None] == places).any(1)
    spared = ~inside
    for k, row in enumerate(started):
        others = (~inside[k]).nonzero()[:, 0]
        stream = generator(seed, "left out", release.method, release.init, initial.shape[1], c, k)
        spared[k, others[torch.randperm(len(others), generator=stream)[: int(row.sum())]]] = False
    by_set = torch.stack([inside, ~inside, inside & ~started, spared])
    alone = initial.flatten()[:, None] == places
    alone[initial.flatten() < 0] = True
    return torch.cat([by_set.repeat_interleave(initial.shape[1], 1), alone[None]])


@entrance(candidates=SHOWN, shapes="candidates N C H W, labels N, membership K N")
def search(
    metric: Metric,
    releases: Sequence[Release],
    candidates: torch.Tensor,
    labels: torch.Tensor,
    membership: torch.Tensor,
    seed: int,
) -> dict[tuple[Release, int], NearestOfSets]:
    """Find the nearest pool images of all images of all releases, at all their moments.

    candidates   the pool as it is shown: floats in [0, 1], N x C x H x W
    labels       int64, N; images are compared within their class
    membership   bool, K x N, on the CPU: which pool images each set was made from
    seed         the random choice of non-members is derived from it (`groups`)

    ValueError as for `nearest`. Images of all releases share a search: candidates are embedded once.
    """
    if not releases:
        raise ValueError("releases of none: allowed are one or more")
    for number, release in enumerate(releases):
        _check_release(release, labels, membership)
        for step, shots in release.moments.items():
            plain.tensor(f"releases[{number}].moments[{step!r}]", shots, SHOWN)
            if shots.shape[3:] != candidates.shape[1:] or shots.shape[1] != releases[0].initial.shape[1]:
                raise ValueError(
                    f"releases[{number}].moments[{step!r}] {tuple(shots.shape)}: allowed are the classes of "
                    f"the first, {releases[0].initial.shape[1]}, and images as the candidates, "
                    f"{tuple(candidates.shape[1:])}"
                )
    parts: dict[tuple[Release, int], list[Neighbours]] = {
        (release, step): [] for release in releases for step in release.moments
    }
    for c in range(releases[0].initial.shape[1]):
        places = (labels == c).nonzero()[:, 0]
        for kept, neighbours in zip(
            parts.values(),
            _search_class(metric, releases, candidates[places], labels, membership, c, seed),
            strict=True,
        ):
            kept.append(Neighbours(places[neighbours.index].cpu(), neighbours.distance.double().cpu()))
    return {key: _side_by_side(key[0], kept) for key, kept in parts.items()}


def _check_release(release: Release, labels: torch.Tensor, membership: torch.Tensor) -> None:
    """Refuse a release of other sets than the membership's, and classes and images there are not."""
    if not isinstance(release, Release):
        raise plain.refused("releases", release, "are some of Release")
    sets, classes = release.initial.shape[:2]
    if sets != len(membership):
        raise ValueError(f"membership of {len(membership)} sets: allowed are those of the release, {sets}")
    check_labels(labels, classes)
    if int(release.initial.max()) >= len(labels):
        largest = int(release.initial.max())
        raise ValueError(f"release.initial up to {largest}: allowed are -1 to {len(labels) - 1}, by labels")


def _search_class(
    metric: Metric,
    releases: Sequence[Release],
    candidates: torch.Tensor,
    labels: torch.Tensor,
    membership: torch.Tensor,
    c: int,
    seed: int,
) -> list[Neighbours]:
    """Search the candidates of class c; return 5 x (K * ipc) neighbours for each release and moment."""
    allowed, images, owners, first = [], [], [], 0
    for release in releases:
        allowed.append(groups(release, labels, membership, c, seed))
        count = allowed[-1].shape[1]
        for shots in release.moments.values():
            images.append(shots[:, c].flatten(0, 1))
            owners.append(torch.arange(first, first + count))
        first += count
    device = candidates.device
    together = nearest(
        metric,
        torch.cat(images),
        candidates,
        torch.cat(allowed, 1).to(device),
        torch.cat(owners).to(device),
    )
    sizes = [len(part) for part in images]
    split = zip(together.index.split(sizes, 1), together.distance.split(sizes, 1), strict=True)
    return [Neighbours(*pair) for pair in split]


def _side_by_side(release: Release, parts: list[Neighbours]) -> NearestOfSets:
    """Put the classes of a release at one moment side by side: K x (classes * ipc)."""
    sets = len(release.initial)
    index, distance = (
        np.concatenate([getattr(part, name).unflatten(1, (sets, -1)).numpy() for part in parts], 2)
        for name in Neighbours._fields
    )
    started = len(release.populations) > 1
    return NearestOfSets(
        dict(zip(GROUPS, distance, strict=False)),
        dict(zip(GROUPS, index, strict=False)),
        distance[len(GROUPS)] if started else None,
    )
