"""What is condensed, and what comes out: checked once, the same for every method."""

import hashlib
import secrets
from dataclasses import dataclass, field
from functools import cached_property

import torch

from privacy_for_free.core import devices, validate
from privacy_for_free.core.entrance import entrance
from privacy_for_free.core.randomness import generator
from privacy_for_free.nets.networks import Network

INITIALISATIONS = ("real", "noise", "noise_matched")
NOISE = ("members", "seed")  # what the noise of a private release is derived from
ROWS_HASHED = 4096  # images at a time


@entrance(shapes="images N C S S, labels N, membership K N")
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

    What is given is checked whichever way a problem is made, by `dataclasses.replace` too; `Problem.of` knows
    what stands for what is left out. ValueError names the value and what is allowed.
    """

    images: torch.Tensor = field(repr=False)
    labels: torch.Tensor = field(repr=False)
    membership: torch.Tensor = field(repr=False)
    classes: int
    ipc: int
    init: str
    seed: int = field(repr=False)  # may be secret
    names: tuple[int, ...]
    start: torch.Tensor | None = field(repr=False, default=None)
    network: Network | None = None
    noise: str = "members"

    def __post_init__(self) -> None:
        """Refuse what does not fit together; shapes and values of the tensors are checked on the way in."""
        validate.one_of("noise", self.noise, NOISE)
        validate.one_of("init", self.init, INITIALISATIONS)
        validate.whole("seed", self.seed)
        validate.whole("ipc", self.ipc, 1)
        images, network = self.images, self.network
        if images.dtype not in (torch.float32, torch.float64):
            raise ValueError(f"images {images.dtype} {tuple(images.shape)}: allowed are float32 or float64")
        if network is not None and not hasattr(network, "features"):
            raise ValueError(f"network {network!r}: allowed are networks of nets.networks")
        shape = (getattr(network, "channels", images.shape[1]), getattr(network, "size", images.shape[2]))
        if shape != images.shape[1:3]:
            raise ValueError(
                f"network {network!r}: allowed are networks for images of {tuple(images.shape[1:])}"
            )
        number_of_classes(self.labels, self.classes)
        object.__setattr__(self, "names", tuple(self.names))
        if len(self.names) != self.sets or len(set(self.names)) != self.sets:
            raise ValueError(
                f"names {self.names}: allowed are {self.sets} different whole numbers, one for each set"
            )
        _check_counts(self)
        if self.start is not None:
            _check_start(self, self.start)

    @classmethod
    @entrance(shapes="images N C S S, labels N, membership K N")
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

        `membership` None stands for one set that holds every image; `classes` None for the largest label plus
        one; `seed` None for a fresh one that nobody knows, drawn by the operating system.
        """
        seed = secrets.randbits(62) if seed is None else seed
        classes = number_of_classes(labels, classes)
        if membership is None:
            membership = torch.ones((1, len(labels)), dtype=torch.bool, device=labels.device)
        names = tuple(range(len(membership)) if names is None else names)
        return cls(images, labels, membership, classes, ipc, init, seed, names, start, network, noise)

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


def number_of_classes(labels: torch.Tensor, classes: int | None) -> int:
    """Return the number of classes, for None the highest of the labels (int64, N, from 0 up) plus one.

    ValueError for labels and classes that are more than there are images: each class has one or more.
    """
    count, highest = len(labels), int(labels.max())
    if highest >= count:
        raise ValueError(
            f"labels up to {highest} for {count} images: allowed are 0 to {count - 1}, for each class has an "
            "image"
        )
    return highest + 1 if classes is None else validate.whole("classes", classes, highest + 1, count)


@entrance
def hard_labels(sets: int, classes: int, ipc: int, device: torch.device | str = "cpu") -> torch.Tensor:
    """Return labels int64, K x classes x ipc: the class's own number.

    ValueError for numbers below 1, for more labels than the memory holds, and for a device that is not there.
    """
    device = devices.present(device)
    for name, value in (("sets", sets), ("classes", classes), ("ipc", ipc)):
        validate.whole(name, value, 1)
    devices.check_size("sets x classes x ipc", (sets, classes, ipc), torch.int64, device)
    return torch.arange(classes, device=device)[None, :, None].repeat(sets, 1, ipc)


@entrance(shapes="labels N, membership K N")
def class_counts(labels: torch.Tensor, membership: torch.Tensor, classes: int) -> torch.Tensor:
    """Return int64, K x classes: how many images of each class each set holds.

    labels int64, N; membership bool, K x N. ValueError for classes that are more than there are images, or
    fewer than there are labels.
    """
    classes = number_of_classes(labels, classes)
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


def _check_counts(problem: Problem) -> None:
    """Refuse classes of which a set has no images, or fewer than it is to start from, and sizes beyond it."""
    name = f"ipc {problem.ipc}: images"
    devices.check_size(name, problem.shape, problem.images.dtype, problem.images.device)
    counts = class_counts(problem.labels, problem.membership, problem.classes)
    if int(counts.min()) == 0:
        k, c = (counts == 0).nonzero()[0].tolist()
        raise ValueError(
            f"set {k} holds no image of class {c}: allowed are labels and membership that give every set "
            f"some of each of {problem.classes} classes"
        )
    if problem.start is None and problem.init == "real" and int(counts.min()) < problem.ipc:
        k, c = (counts < problem.ipc).nonzero()[0].tolist()
        raise ValueError(
            f"ipc {problem.ipc}: set {k} holds {int(counts[k, c])} images of class {c}, allowed is at most "
            "that many"
        )


def _check_start(problem: Problem, start: torch.Tensor) -> None:
    """Refuse a start of another shape or dtype, and of images that are not there, or not the set's."""
    if start.is_floating_point():
        allowed, fits = problem.shape, start.dtype == problem.images.dtype
        wanted = f"finite {problem.images.dtype}"
    else:
        allowed, fits = problem.shape[:3], start.dtype == torch.int64 and start.numel() > 0
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
