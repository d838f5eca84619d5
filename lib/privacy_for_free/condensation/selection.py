"""Baselines that choose real images instead of making synthetic ones: a random subset, herding, everything.

They answer what a condensation is worth: a random subset is what distribution matching starts from, so it is
that method with no steps; herding is the coreset the condensation papers compare with; every image is the
ceiling.
"""

import time
from dataclasses import dataclass

import torch

from privacy_for_free.condensation.loop import Run
from privacy_for_free.condensation.problem import Condensed, Problem, class_counts, hard_labels, initialise
from privacy_for_free.core import devices, validate
from privacy_for_free.core.entrance import entrance
from privacy_for_free.nets import networks, training

FEATURES = ("convnet", "pixels")


@entrance
@dataclass(frozen=True)
class RandomSubset:
    """A random subset has no settings."""

    initialisations = ("real",)
    name = "random_subset"

    def condense(self, problem: Problem, run: Run | None = None) -> Condensed:
        """Choose the images of every set of the problem; there is no `run` to keep."""
        return select_random_subset(problem)


@entrance
@dataclass(frozen=True)
class Herding:
    """Settings of herding: what the mean is taken of ("convnet" or "pixels"), and the ConvNet's width."""

    features: str = "convnet"
    width: int = 128
    compile: bool = False

    def __post_init__(self) -> None:
        """Refuse what no herding can follow."""
        validate.one_of("features", self.features, FEATURES)
        validate.whole("width", self.width, 1, networks.LARGEST)

    initialisations = ("real",)
    name = "herding"

    def condense(self, problem: Problem, run: Run | None = None) -> Condensed:
        """Choose the images of every set of the problem; there is no `run` to keep."""
        return select_herding(problem, self.features, self.width, self.compile)


@entrance
@dataclass(frozen=True)
class Full:
    """Everything has no settings."""

    initialisations = ("real",)
    name = "full"

    def condense(self, problem: Problem, run: Run | None = None) -> Condensed:
        """Choose the images of every set of the problem; there is no `run` to keep."""
        return select_full(problem)


@entrance
def select_random_subset(problem: Problem) -> Condensed:
    """Choose `ipc` members of each class of each set at random: the real initialisation of every method.

    Images K x classes x ipc x C x H x W, `initial` says which ones they are, `loss` is empty (K x 0).
    ValueError unless the problem's `init` is "real".
    """
    began = time.monotonic()
    _check_real(problem)
    images, initial = initialise(problem)
    return _chosen(problem, initial, began, images)


@entrance
def select_herding(
    problem: Problem, features: str = "convnet", width: int = 128, compile: bool = False
) -> Condensed:
    """Choose `ipc` members of each class greedily, so that their mean feature follows that of the class.

    Welling, "Herding dynamical weights to learn", ICML 2009, as a choice of exemplars without repetition
    (Rebuffi et al., iCaRL, CVPR 2017, algorithm 4; the coreset of Zhao, Mopuri & Bilen, ICLR 2021, section
    4.1, there with trained features): with mu the mean of phi over the set's members of a class and S the sum
    over those chosen before, choice t minimises

        || mu - (S + phi(x)) / t ||^2,     that is, maximises 2 <t mu - S, phi(x)> - ||phi(x)||^2

    features  "convnet": phi is a random ConvNet of `width`, drawn from the seed and the same for every class
              and set; "pixels": phi is the identity

    Sums are in float64, so that the other sets in a run cannot tip a choice. Images, `initial` and `loss` are
    those of `select_random_subset`, in order of choice. ValueError for other features, and unless the
    problem's `init` is "real".
    """
    began = time.monotonic()
    validate.one_of("features", features, FEATURES)
    validate.whole("width", width, 1, networks.LARGEST)
    _check_real(problem)
    device, K = problem.images.device, problem.sets
    initial = torch.empty(problem.shape[:3], dtype=torch.int64, device=device)
    if features == "convnet":
        network = networks.build("convnet", problem.images.shape[1:], problem.classes, width)
        stream = problem.generator("herding extractor")
        theta = network.initial(stream, problem.images.dtype, classifier=False)
        theta = {name: value.to(device) for name, value in theta.items()}
    with devices.steady_threads(device):
        for c, indices in enumerate(problem.of_class):
            indices = indices.to(device)
            images = problem.images[indices]
            phi = (
                training.features(network, theta, images, compile)
                if features == "convnet"
                else images.flatten(1)
            )
            phi = phi.double()
            squares = phi.square().sum(1)
            allowed = problem.membership.to(device)[:, indices]
            mean = allowed.double() @ phi / allowed.sum(1, keepdim=True)
            total, rows = torch.zeros_like(mean), torch.arange(K, device=device)
            for t in range(problem.ipc):
                score = 2 * ((t + 1) * mean - total) @ phi.T - squares
                choice = score.masked_fill_(~allowed, -torch.inf).argmax(1)
                total += phi[choice]
                allowed[rows, choice] = False
                initial[:, c, t] = indices[choice]
    return _chosen(problem, initial, began)


@entrance
def select_full(problem: Problem) -> Condensed:
    """Choose every member of every set: images K x classes x n x C x H x W, in the order of the data.

    The problem's `ipc` and `init` do not matter. ValueError unless every set has the same number n of members
    in every class, which is what makes the sets one array.
    """
    began = time.monotonic()
    counts = class_counts(problem.labels, problem.membership, problem.classes)
    n = int(counts[0, 0])
    if not bool((counts == n).all()):
        k, c = (counts != n).nonzero()[0].tolist()
        raise ValueError(
            f"problem: set 0 holds {n} images of class 0, set {k} holds {int(counts[k, c])} of class {c}: "
            "allowed is the same number in every class of every set"
        )
    membership = problem.membership.cpu()
    columns = [
        indices.expand(problem.sets, -1)[membership[:, indices]].view(problem.sets, n)
        for indices in problem.of_class
    ]
    return _chosen(problem, torch.stack(columns, 1).to(problem.images.device), began)


def _check_real(problem: Problem) -> None:
    if problem.init != "real":
        raise ValueError(f"init {problem.init!r}: allowed is 'real', a selection consists of real images")


def _chosen(
    problem: Problem, initial: torch.Tensor, began: float, images: torch.Tensor | None = None
) -> Condensed:
    """Put a selection together; `initial` (K x classes x n) says which images it consists of."""
    images = problem.images[initial] if images is None else images
    labels = hard_labels(problem.sets, problem.classes, initial.shape[2], images.device)
    loss, steps = torch.zeros((problem.sets, 0), dtype=torch.float64), torch.zeros(0, dtype=torch.int64)
    return Condensed(images, labels, initial, loss, steps, seconds=time.monotonic() - began)
