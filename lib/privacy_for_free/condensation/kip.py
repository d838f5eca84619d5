"""Kernel inducing points: images from which kernel ridge regression learns what it learns from all of them.

Nguyen, Chen & Lee, Dataset Meta-Learning from Kernel Ridge-Regression, ICLR 2021 (KIP and label solve), with
the kernels of fully connected networks. Each step draws targets (x_t, y_t) of the set, the same number of
every class, and moves the synthetic images x_s down the gradient of

    1/2 mean (K_ts a - y_t)^2,   a = (K_ss + ridge tr(K_ss) / m)^-1 y_s

with K the NTK of an infinitely wide network and labels one-hot less 1 / classes. The loss, the class balance
and the defaults are those of the authors' notebook (google-research/kip, KIP.ipynb), which standardises
images per channel. Its CIFAR-10 trace was printed with fixed labels (LEARN_LABELS = False).

The targets are streamed: `a` does not depend on them, so a block of targets gives its part of the loss and of
the gradient while it is in the cache, and no kernel of all targets is ever held.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from privacy_for_free.condensation.loop import Run, descend, finish
from privacy_for_free.condensation.problem import INITIALISATIONS, Condensed, Problem, hard_labels, initialise
from privacy_for_free.core import devices, validate
from privacy_for_free.core.compiling import compiled
from privacy_for_free.core.entrance import entrance
from privacy_for_free.nets.infinite_width import FullyConnected
from privacy_for_free.nets.networks import check_labels
from privacy_for_free.nets.schedule import MANY

LABELS = ("fixed", "learnt", "solve")


class Default(int):
    """A number that nobody gave, in place of which the nearest one that fits is taken."""


@entrance
@dataclass(frozen=True)
class KIP:
    """How the points are learnt; the defaults are the notebook's.

    iterations       steps of Adam (its other settings are torch's defaults)
    learning_rate    of Adam, in units of the images'
    batch_targets    targets per step and set, a multiple of the classes; of a class with fewer images in
                     the set, all are taken. Where none is given, the multiple that is nearest to 5000
    ridge            regulariser, in units of the mean of K_ss's diagonal
    depth, weight_variance, bias_variance   of the network, see `nets.infinite_width.FullyConnected`
    labels           "fixed" (one-hot less 1 / classes), "learnt" (from there, by Adam, with the images), or
                     "solve" (fixed while the images are learnt, then the labels that minimise the loss on all
                     of the set; with 0 iterations that is label solve)
    memory           mebibytes of targets held at a time, in float64, and of kernels of the points
    compile          torch.compile the kernel: a tenth faster
    """

    iterations: int = 300
    learning_rate: float = 4e-2
    batch_targets: int = Default(5000)
    ridge: float = 1e-6
    depth: int = 1
    weight_variance: float = 2.0
    bias_variance: float = 0.01
    labels: str = "fixed"
    memory: int = 64
    compile: bool = False

    def __post_init__(self) -> None:
        """Refuse, with a ValueError, what is out of range."""
        validate.whole("iterations", self.iterations)
        validate.whole("batch_targets", self.batch_targets, 1, MANY)
        validate.whole("memory", self.memory, 1, MANY)
        validate.positive("learning_rate", self.learning_rate)
        validate.positive("ridge", self.ridge)
        validate.one_of("labels", self.labels, LABELS)
        _ = self.network

    @property
    def network(self) -> FullyConnected:
        """The network whose NTK is used."""
        return FullyConnected(self.depth, self.weight_variance, self.bias_variance)

    def targets_of_class(self, classes: int) -> int:
        """Return the targets per class and step; ValueError where the number given is not that of whole ones.

        >>> KIP().targets_of_class(10), KIP().targets_of_class(3)
        (500, 1667)
        """
        if isinstance(self.batch_targets, Default):
            return max(1, round(self.batch_targets / classes))
        if self.batch_targets % classes:
            raise ValueError(
                f"batch_targets {self.batch_targets}: allowed are multiples of {classes}, the number of "
                "classes"
            )
        return self.batch_targets // classes

    initialisations = INITIALISATIONS

    @property
    def name(self) -> str:
        """The name of the method."""
        return "kip"

    def condense(self, problem: Problem, run: Run | None = None) -> Condensed:
        """Condense every set of the problem with these settings."""
        return condense(problem, self, run)


@entrance
def condense(problem: Problem, parameters: KIP, run: Run | None = None) -> Condensed:
    """Learn the points of all K sets of a problem.

    Returns images of the problem's dtype, whatever it is computed in (float64), and labels of that dtype,
    K x classes x ipc x classes. The loss is that on each set's own targets, before the step.
    All sets see the images in one order per step, drawn from the seed and the step; each takes the first of
    its own, so a set is the same whichever others share the run. ValueError for batch_targets, if given, that
    are no multiple of the classes; DivergenceError where a loss is not finite or K_ss cannot be factored.
    """
    per_class = parameters.targets_of_class(problem.classes)
    images, initial = initialise(problem)
    sets, size = problem.sets, math.prod(problem.shape[3:])
    points = images.double().reshape(sets, -1, size)
    labels = _centred(
        hard_labels(sets, problem.classes, problem.ipc, images.device), problem.classes
    ).flatten(1, 2)
    learnt = parameters.labels == "learnt"
    # One tensor holds all that is learnt: the loop keeps that and the optimiser's state in its checkpoints.
    state = torch.cat([points, labels], 2) if learnt else points
    state.grad = torch.zeros_like(state)
    optimiser = torch.optim.Adam([state], lr=parameters.learning_rate, fused=True)
    stream = TargetStream(problem, parameters)

    def step(index: int) -> torch.Tensor:
        batch, chosen = draw_targets(problem, per_class, index)
        loss = torch.zeros(sets, dtype=torch.float64)
        for chunk in stream.chunks(state.shape[1]):
            points = state[chunk, :, :size]
            own = state[chunk, :, size:] if learnt else labels[chunk]
            loss[chunk] = stream.gradient(points, own, batch, chosen[chunk], state.grad[chunk])
        optimiser.step()
        return loss

    with devices.steady_threads(images.device):
        losses, steps, snapshots, seconds = descend(
            "kip", problem, parameters, run or Run(), state, optimiser, step, parameters.iterations
        )
        points = state[..., :size]
        if learnt:
            labels = state[..., size:]
        elif parameters.labels == "solve":
            labels = stream.solved(points)
    shape, dtype = problem.shape, problem.images.dtype
    snapshots = {at: kept[..., :size].reshape(shape).to(dtype) for at, kept in snapshots.items()}
    return finish(
        points.reshape(shape).to(dtype),
        labels.reshape(*shape[:3], problem.classes).to(dtype),
        initial,
        (losses, steps, snapshots, seconds),
    )


@entrance(shapes="images n C H W, support_images m C H W, support_labels m classes")
def predict(
    images: torch.Tensor, support_images: torch.Tensor, support_labels: torch.Tensor, parameters: KIP
) -> torch.Tensor:
    """Return the scores (n, classes), float64, that kernel ridge regression gives images (n, C, H, W).

    It learns from `support_images` (m, C, H, W) and `support_labels` (m, classes), real numbers, as
    `Condensed.flat` returns them. Images of either dtype, standardised like those condensed from. ValueError
    for shapes that do not fit and for points whose kernel cannot be factored.
    """
    for name, given in (
        ("images", images),
        ("support_images", support_images),
        ("support_labels", support_labels),
    ):
        if not given.is_floating_point():
            raise ValueError(f"{name} {given.dtype} {tuple(given.shape)}: allowed are real numbers")
    points = support_images.flatten(1).double()
    with devices.steady_threads(images.device):
        weights, failed = _weights(points[None], support_labels.double()[None], parameters)
    if bool(failed.any()):
        raise ValueError(
            f"support_images: their kernel cannot be factored with the ridge {parameters.ridge}; allowed are "
            "images that differ, or a larger ridge"
        )
    rows = max(1, (parameters.memory << 20) // (8 * points.shape[1]))
    kernels = (parameters.network.ntk(block.flatten(1).double(), points) for block in images.split(rows))
    with devices.steady_threads(images.device):
        return torch.cat([kernel @ weights[0] for kernel in kernels])


@entrance(shapes="images n C H W, labels n, support_images m C H W, support_labels m classes")
def accuracy(
    images: torch.Tensor,
    labels: torch.Tensor,
    support_images: torch.Tensor,
    support_labels: torch.Tensor,
    parameters: KIP,
) -> float:
    """Return the share, 0 to 1, of images with the highest score (see `predict`) at their label, int64, n."""
    check_labels(labels, support_labels.shape[1])
    scores = predict(images, support_images, support_labels, parameters)
    return float((scores.argmax(1) == labels).double().mean())


def _centred(labels: torch.Tensor, classes: int) -> torch.Tensor:
    """Return one-hot labels less 1 / classes, float64, of labels int64."""
    return torch.nn.functional.one_hot(labels, classes).double() - 1 / classes


def draw_targets(problem: Problem, per_class: int, step: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a step's targets (indices, int64) and whose they are (bool, K x targets).

    Each class is put in a random order; every set takes the first `per_class` of its own.
    """
    stream, membership = problem.generator("kernel targets", step), problem.membership.cpu()
    targets, chosen = [], []
    for indices in problem.of_class:
        order = indices[torch.randperm(len(indices), generator=stream)]
        own = membership[:, order]
        own &= own.cumsum(1) <= per_class
        used = own.any(0)
        targets.append(order[used])
        chosen.append(own[:, used])
    return torch.cat(targets), torch.cat(chosen, 1)


def _weights(
    points: torch.Tensor, labels: torch.Tensor, parameters: KIP
) -> tuple[torch.Tensor, torch.Tensor]:
    """Solve (K_ss + ridge) a = y_s, points (K, m, d) and labels (K, m, classes); say where it failed (K)."""
    factor, info = torch.linalg.cholesky_ex(_regularised(points, parameters))
    return torch.cholesky_solve(labels, factor), info != 0


def _regularised(points: torch.Tensor, parameters: KIP) -> torch.Tensor:
    kernel = parameters.network.ntk(points)
    ridge = parameters.ridge * kernel.diagonal(dim1=-2, dim2=-1).mean(-1)
    return kernel + torch.diag_embed(ridge[:, None].expand(kernel.shape[:2]))


class TargetStream:
    """The targets of a problem, in blocks that stay in the cache; buffers are kept from step to step."""

    def __init__(self, problem: Problem, parameters: KIP) -> None:
        """Make the buffers; nothing is drawn."""
        self.parameters, self.network = parameters, parameters.network
        self.ntk = compiled(lambda s, p, q: self.network.of_products(s, p, q)[1], parameters.compile, True)
        self.pool = problem.images.flatten(1)
        self.labels = _centred(problem.labels.to(self.pool.device), problem.classes)
        self.problem = problem
        self.memory = parameters.memory << 20
        size = self.pool.shape[1]
        self.rows = min(len(self.pool), max(1, self.memory // (8 * size)))
        self.variance = torch.cat([self.network.variance(x.double()) for x in self.pool.split(self.rows)])
        self.stored = self.pool.new_empty((self.rows, size))
        self.block = self.stored.double()
        self.own = torch.empty_like(self.block)

    def chunks(self, points: int) -> list[slice]:
        """Return the sets in chunks whose kernels K_ss, and what their gradient keeps, fit the memory."""
        count = max(1, self.memory // (8 * 12 * points**2))
        return [slice(first, first + count) for first in range(0, self.problem.sets, count)]

    def gather(
        self, batch: torch.Tensor, chosen: torch.Tensor
    ) -> Iterator[tuple[int, torch.Tensor, torch.Tensor, torch.Tensor]]:
        """Yield set, targets (n, d) float64, their s(x, x) (n) and labels (n, classes), block by block.

        The targets lie in a buffer that the next ones are written over.
        """
        for indices, members in zip(batch.split(self.rows), chosen.split(self.rows, 1), strict=True):
            here = indices.to(self.pool.device)
            block = self.block[: len(here)]
            block.copy_(torch.index_select(self.pool, 0, here, out=self.stored[: len(here)]))
            variance, labels = self.variance[here], self.labels.index_select(0, here)
            for k, mask in enumerate(members):
                rows = mask.nonzero()[:, 0].to(self.pool.device)
                if len(rows) == len(here):
                    yield k, block, variance, labels
                elif len(rows):
                    targets = torch.index_select(block, 0, rows, out=self.own[: len(rows)])
                    yield k, targets, variance[rows], labels[rows]

    def gradient(
        self,
        points: torch.Tensor,
        labels: torch.Tensor,
        batch: torch.Tensor,
        chosen: torch.Tensor,
        grad: torch.Tensor,
    ) -> torch.Tensor:
        """Return the loss (K) of points (K, m, d) and labels (K, m, classes); write its gradient to `grad`.

        `grad` is K x m x d, or K x m x (d + classes) where the labels are learnt too.
        """
        scale, size = self.network.weight_variance / points.shape[2], points.shape[2]
        leaf, own = points.detach().clone().requires_grad_(), labels.detach().clone().requires_grad_()
        weights, failed = _weights(leaf, own, self.parameters)
        a, to_weights = weights.detach(), torch.zeros_like(weights)
        count = chosen.sum(1).to(points.device) * labels.shape[2]
        loss = torch.zeros(len(points), dtype=torch.float64, device=points.device)
        scaled, variance = points * scale, self.network.variance(points)
        to_points, to_variance = torch.zeros_like(scaled), torch.zeros_like(variance)
        for k, targets, target_variance, target_labels in self.gather(batch, chosen):
            s = torch.mm(scaled[k], targets.T).add_(self.network.bias_variance).requires_grad_()
            p = variance[k].requires_grad_()
            kernel = self.ntk(s, p, target_variance)
            error = torch.addmm(target_labels, kernel.detach().T, a[k], beta=-1)
            loss[k] += error.square().sum() / (2 * count[k])
            error /= count[k]
            to_weights[k].addmm_(kernel.detach(), error)
            to_s, to_p = torch.autograd.grad(kernel, (s, p), a[k] @ error.T, materialize_grads=True)
            to_points[k].addmm_(to_s, targets)
            to_variance[k] += to_p
        # s(x, z) = scale <x, z> + ..., s(x, x) = scale <x, x> + ...
        to_points.mul_(scale).addcmul_(scaled, to_variance[..., None], value=2)
        through_points, through_labels = torch.autograd.grad(weights, (leaf, own), to_weights)
        torch.add(to_points, through_points, out=grad[..., :size])
        if grad.shape[2] > size:
            grad[..., size:] = through_labels
        return loss.masked_fill_(failed, torch.nan)

    def solved(self, points: torch.Tensor) -> torch.Tensor:
        """Return the labels (K, m, classes) that minimise the loss of points (K, m, d) on all of each set.

        With them K_ts a = K_ts (K_ts^+ y_t), the least squares fit: the paper's label solve.
        """
        sets, count, _ = points.shape
        scale = self.network.weight_variance / points.shape[2]
        gram = points.new_zeros((sets, count, count))
        moments = points.new_zeros((sets, count, self.problem.classes))
        variance, every = self.network.variance(points), torch.arange(len(self.pool))
        for k, targets, target_variance, target_labels in self.gather(every, self.problem.membership.cpu()):
            s = torch.mm(points[k] * scale, targets.T).add_(self.network.bias_variance)
            kernel = self.network.of_products(s, variance[k], target_variance)[1]
            gram[k].addmm_(kernel, kernel.T)
            moments[k].addmm_(kernel, target_labels)
        return _regularised(points, self.parameters) @ torch.linalg.pinv(gram, hermitian=True) @ moments
