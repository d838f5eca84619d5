"""What is condensed, and what comes out: checked once, the same for every method."""

import hashlib
import secrets
from dataclasses import dataclass, field
from functools import cached_property

import torch

from privacy_for_free.core import validate
from privacy_for_free.core.entrance import entrance
from privacy_for_free.core.randomness import generator
from privacy_for_free.nets.networks import Network

INITIALISATIONS = ("real", "noise", "noise_matched")
NOISE = ("members", "seed")  # what the noise of a private release is derived from
ROWS_HASHED = 4096  # images at a time


@dataclass(frozen=True, eq=False)
class Problem:
    """Images, who is a member of which set, and how many synthetic images per class each set is to have.

    images      float32 or float64, N x C x H x W, finite
    labels      int64, N, values 0 .. classes-1
    membership  bool, K x N: row k says which images set k is condensed from
    ipc         synthetic images per class
    init        "real" (images of the set, drawn without replacement), "noise" (standard normal), or
                "noise_matched" (normal with the mean and spread of the set's own pixels, per channel)
    seed        everything random is derived from it, a purpose and an index
    names       int64, K: what set k's own draws are derived from, so that a set is the same whichever others
                share the run
    start       what the synthetic images start from, in place of `init`: int64, K x classes x ipc, numbers of
                real images; or images, K x classes x ipc x C x H x W. None for what `init` says
    network     what DM takes its features from; None for what its settings build
    noise       what the noise and the samples of a private release are derived from: "members", the seed, the
                settings and the members' images and labels, so that one seed gives other data other noise; or
                "seed", the seed alone, for experiments that others make again
    """

    images: torch.Tensor = field(repr=False)
    labels: torch.Tensor = field(repr=False)
    membership: torch.Tensor = field(repr=False)
    classes: int
    ipc: int
    init: str
    seed: int
    names: tuple[int, ...]
    start: torch.Tensor | None = field(repr=False, default=None)
    network: Network | None = None
    noise: str = "members"

    @classmethod
    def of(
        cls,
        images: torch.Tensor,
        labels: torch.Tensor,
        membership: torch.Tensor | None,
        ipc: int,
        init: str,
        seed: int | None = None,
        classes: int | None = None,
        names: tuple[int, ...] | None = None,
        *,
        start: torch.Tensor | None = None,
        network: Network | None = None,
        noise: str = "members",
    ) -> "Problem":
        """Return the problem, after everything a condensation is given was checked.

        ValueError names the value and what is allowed.

        `membership` None stands for one set that holds every image; `classes` None for the largest label plus
        one; `seed` None for a fresh one that nobody knows, drawn by the operating system.
        """
        validate.one_of("noise", noise, NOISE)
        seed = secrets.randbits(62) if seed is None else seed
        if images.dim() != 4 or images.dtype not in (torch.float32, torch.float64):
            raise ValueError(
                f"images {images.dtype} {tuple(images.shape)}: allowed are float32 or float64, N x C x H x W"
            )
        if images.shape[2] != images.shape[3]:
            raise ValueError(
                f"images of {images.shape[2]} x {images.shape[3]} pixels: allowed are square ones"
            )
        count = len(images)
        if labels.shape != (count,) or labels.dtype != torch.int64:
            raise ValueError(
                f"labels {labels.dtype} {tuple(labels.shape)}: allowed are int64, one for each of "
                f"{count} images"
            )
        if count == 0 or int(labels.min()) < 0:
            raise ValueError(f"labels of {count} images: allowed are one image or more, labels from 0 up")
        highest = int(labels.max())
        if classes is None:
            classes = highest + 1
        if isinstance(classes, bool) or not isinstance(classes, int) or classes <= highest:
            raise ValueError(f"classes {classes!r}: the labels go up to {highest}")
        if membership is None:
            membership = torch.ones((1, count), dtype=torch.bool, device=labels.device)
        if membership.dim() != 2 or membership.shape[1] != count or membership.dtype != torch.bool:
            raise ValueError(
                f"membership {membership.dtype} {tuple(membership.shape)}: allowed is bool, K x {count}"
            )
        if len(membership) == 0:
            raise ValueError("membership of 0 sets: allowed are one set or more")
        if isinstance(ipc, bool) or not isinstance(ipc, int) or ipc < 1:
            raise ValueError(f"ipc {ipc!r}: allowed are whole numbers from 1 up")
        if init not in INITIALISATIONS:
            raise ValueError(f"init {init!r}: known are {', '.join(INITIALISATIONS)}")
        names = tuple(range(len(membership))) if names is None else tuple(names)
        if len(names) != len(membership) or len(set(names)) != len(names):
            raise ValueError(
                f"names {names}: allowed are {len(membership)} different whole numbers, one for each set"
            )
        counts = class_counts(labels, membership, classes)
        if int(counts.min()) == 0:
            k, c = (counts == 0).nonzero()[0].tolist()
            raise ValueError(
                f"set {k} holds no image of class {c}: every set needs some of each of {classes}"
            )
        if start is None and init == "real" and int(counts.min()) < ipc:
            k, c = (counts < ipc).nonzero()[0].tolist()
            raise ValueError(
                f"ipc {ipc}: set {k} holds {int(counts[k, c])} images of class {c}, allowed is at most "
                "that many"
            )
        if not bool(torch.isfinite(images).all()):
            bad = int((~torch.isfinite(images)).flatten(1).any(1).nonzero()[0])
            raise ValueError(f"images: image {bad} has a value that is not finite")
        problem = cls(images, labels, membership, classes, ipc, init, seed, names, start, network, noise)
        if network is not None and not hasattr(network, "features"):
            raise ValueError(f"network {network!r}: allowed are networks of nets.networks")
        if start is not None:
            _check_start(problem, start)
        return problem

    @property
    def sets(self) -> int:
        """K."""
        return self.membership.shape[0]

    @property
    def shape(self) -> tuple[int, ...]:
        """K x classes x ipc x C x H x W, the shape of the synthetic images."""
        return (self.sets, self.classes, self.ipc, *self.images.shape[1:])

    @cached_property
    def of_class(self) -> tuple[torch.Tensor, ...]:
        """Indices of each class's images, ascending, int64, on the CPU."""
        labels = self.labels.cpu()
        return tuple((labels == c).nonzero()[:, 0] for c in range(self.classes))

    def generator(self, purpose: str, *index: int, device: str | torch.device = "cpu") -> torch.Generator:
        """Return the generator of one purpose of this run."""
        return generator(self.seed, f"condensation {purpose}", *index, device=device)

    @cached_property
    def digests(self) -> dict[int, str]:
        """The digest of each set's members, by the set's name."""
        rows = self.membership.to(self.images.device)
        labels = self.labels.to(self.images.device)
        members = (row.nonzero()[:, 0] for row in rows)
        return {name: digest(self.images, labels, m) for name, m in zip(self.names, members, strict=True)}

    def noise_generator(self, purpose: str, name: int, *index: int, settings: object) -> torch.Generator:
        """Return the generator, on the CPU, of what has to stay secret about set `name`: noise, or a sample.

        settings  of the method: under `noise` "members" other settings have other noise, too
        """
        if self.noise == "seed":
            return self.generator(purpose, name, *index)
        secret = (self.digests[name], repr(settings))
        return generator(self.seed, f"condensation {purpose} of members", *secret, name, *index)


@dataclass(frozen=True, eq=False)
class Condensed:
    """K synthetic sets.

    images     K x classes x ipc x C x H x W, of the dtype of the real ones
    labels     K x classes x ipc, int64; K x classes x ipc x classes, of the images' dtype, where learnt
    initial    int64, K x classes x ipc: which real image an image started from (or is), -1 for noise
    loss       float64, K x logged steps; steps says which
    steps      int64, the steps of `loss`
    snapshots  step -> images as they were before that step, in the shape of `images`
    seconds    time it took, over all sets, resumed runs included
    """

    images: torch.Tensor = field(repr=False)
    labels: torch.Tensor = field(repr=False)
    initial: torch.Tensor = field(repr=False)
    loss: torch.Tensor = field(repr=False)
    steps: torch.Tensor = field(repr=False)
    snapshots: dict[int, torch.Tensor] = field(repr=False, default_factory=dict)
    seconds: float = 0.0

    def flat(self, k: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
        """Return set k as a training set: images (classes * ipc, C, H, W) and their labels."""
        return self.images[k].flatten(0, 1), self.labels[k].flatten(0, 1)


def digest(images: torch.Tensor, labels: torch.Tensor, rows: torch.Tensor | None = None) -> str:
    """Return a digest of labelled images, in their order: of their dtype, shape, pixels and labels.

    images  N x C x H x W
    labels  int64, N
    rows    int64, which of them count; None for all
    """
    rows = torch.arange(len(images), device=images.device) if rows is None else rows
    found = hashlib.sha256(f"{images.dtype} {(len(rows), *images.shape[1:])}".encode())
    for part in rows.split(ROWS_HASHED):
        found.update(images[part].detach().cpu().contiguous().numpy())
    found.update(labels[rows.to(labels.device)].cpu().contiguous().numpy())
    return found.hexdigest()


@entrance
def hard_labels(sets: int, classes: int, ipc: int, device: torch.device | str = "cpu") -> torch.Tensor:
    """Return labels int64, K x classes x ipc: the class's own number."""
    return torch.arange(classes, device=device)[None, :, None].repeat(sets, 1, ipc)


@entrance
def class_counts(labels: torch.Tensor, membership: torch.Tensor, classes: int) -> torch.Tensor:
    """Return int64, K x classes: how many images of each class each set holds."""
    counts = torch.zeros((len(membership), classes), dtype=torch.int64, device=membership.device)
    for c in range(classes):
        counts[:, c] = membership[:, labels == c].sum(1)
    return counts


@entrance
def initialise(problem: Problem) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the synthetic images before the first step and which real ones they are (-1 for noise).

    Every set draws from a generator of its own, named after the set.
    """
    if problem.start is not None:
        return _given_start(problem, problem.start.to(problem.images.device))
    images = problem.images.new_empty(problem.shape)
    initial = torch.full(problem.shape[:3], -1, dtype=torch.int64, device=images.device)
    membership = problem.membership.cpu()
    for k, name in enumerate(problem.names):
        if problem.init == "real":
            stream = problem.generator("initial images", name)
            for c, indices in enumerate(problem.of_class):
                members = indices[membership[k, indices]]
                chosen = members[torch.randperm(len(members), generator=stream)[: problem.ipc]]
                initial[k, c] = chosen.to(initial.device)
                images[k, c] = problem.images[initial[k, c]]
        else:
            stream = problem.generator("initial noise", name)
            noise = torch.randn(problem.shape[1:], generator=stream, dtype=images.dtype)
            images[k] = noise.to(images.device)
            if problem.init == "noise_matched":
                own = problem.images[problem.membership[k].to(images.device)].transpose(0, 1).flatten(1)
                images[k] = images[k] * own.std(1)[:, None, None] + own.mean(1)[:, None, None]
    return images, initial


def _given_start(problem: Problem, start: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    if start.is_floating_point():
        unknown = torch.full(problem.shape[:3], -1, dtype=torch.int64, device=start.device)
        return start.detach().clone(), unknown
    return problem.images[start], start


def _check_start(problem: Problem, start: torch.Tensor) -> None:
    """Refuse a start of another shape, of images that are not there, or of values that are not finite."""
    if start.is_floating_point():
        allowed, fits = problem.shape, start.dtype == problem.images.dtype
        fits = fits and bool(torch.isfinite(start).all())
        wanted = f"finite {problem.images.dtype}"
    else:
        allowed, fits = problem.shape[:3], start.dtype == torch.int64
        fits = fits and int(start.min()) >= 0 and int(start.max()) < len(problem.images)
        wanted = f"int64 from 0 to {len(problem.images) - 1}"
    if tuple(start.shape) != tuple(allowed) or not fits:
        raise ValueError(
            f"start {start.dtype} {tuple(start.shape)}: allowed are {wanted} of shape {tuple(allowed)}"
        )
    if start.is_floating_point():
        return
    classes = torch.arange(problem.classes)[None, :, None]
    if not bool((problem.labels.cpu()[start.cpu()] == classes).all()):
        raise ValueError("start: an image of another class: allowed for class c are images with the label c")
    rows = torch.arange(problem.sets)[:, None, None]
    if not bool(problem.membership.cpu()[rows, start.cpu()].all()):
        raise ValueError("start: an image that is no member: allowed for set k are images of that set")
