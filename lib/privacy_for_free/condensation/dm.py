"""Distribution matching (DM; Zhao & Bilen, WACV 2023), for any number of sets at once.

A step draws a random extractor psi, one augmentation A and, for each class, one batch of real images, all
shared by the K sets. Set k's loss is the published one over its own images of the batch (B_kc: the batch's
images of class c that are members of set k; S_kc: the set's synthetic images of class c):

    L_k = sum_c || mean_{x in B_kc} psi(A(x)) - mean_{s in S_kc} psi(A(s)) ||^2

No term couples two sets, so each is, marginally, what a run of its own gives: its batch is a uniform sample
of its members, of a size that is `batch_real` on average. The real images go through the extractor once for
all sets (the means are one matrix product per class with the membership mask), and this is nearly all of the
cost of a single set.

Everything passes the extractor in chunks. On a CPU large batches are slow: activations that do not fit the
caches are written to fresh pages of memory, and page faults then cost more than the convolutions.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from privacy_for_free.condensation.loop import Run, descend, finish
from privacy_for_free.condensation.problem import (
    INITIALISATIONS,
    Condensed,
    Problem,
    class_counts,
    hard_labels,
    initialise,
)
from privacy_for_free.core import validate
from privacy_for_free.core.compiling import compiled
from privacy_for_free.core.entrance import entrance
from privacy_for_free.nets import augmentation, networks
from privacy_for_free.nets.schedule import MANY, check_rate

MEBIBYTE = 2**20
Embedding = Callable[[torch.Tensor], torch.Tensor]
ROWS = 8  # mask rows are padded to a multiple: one row alone would take another routine and other roundings


@entrance
@dataclass(frozen=True)
class DM:
    """Settings; the defaults are the published ones.

    iterations, learning_rate, momentum   of gradient descent on the pixels (the published rate is for up to
                      50 images per class)
    batch_real        real images per class and step, of the set's own, on average
    pool_batch        images of each class drawn for all sets together; None: batch_real over the mean share
                      of a class that a set holds. Give it to compare runs of sets with different shares.
    extractor, width  what networks.build builds
    augmentation      strategy of the siamese augmentation, "" for none
    memory_mib        what the activations of a chunk may take; None: 64 on a CPU, 8192 on a GPU
    compile           torch.compile the extractor
    mixed_precision   bfloat16 convolutions on a GPU (changes nothing on a CPU)
    """

    iterations: int = 20_000
    learning_rate: float = 1.0
    momentum: float = 0.5
    batch_real: int = 256
    pool_batch: int | None = None
    extractor: str = "convnet"
    width: int = 128
    augmentation: str = augmentation.STRATEGY
    memory_mib: int | None = None
    compile: bool = False
    mixed_precision: bool = False

    def __post_init__(self) -> None:
        """Refuse values no run can have."""
        validate.whole("iterations", self.iterations)
        check_rate("learning_rate", self.learning_rate)
        validate.fraction("momentum", self.momentum)
        for name in ("batch_real", "pool_batch", "memory_mib"):
            if getattr(self, name) is not None:
                validate.whole(name, getattr(self, name), 1, MANY)
        validate.one_of("extractor", self.extractor, networks.KINDS)
        validate.whole("width", self.width, 1, networks.LARGEST)
        augmentation.kinds(self.augmentation)

    initialisations = INITIALISATIONS
    takes_network = True

    @property
    def name(self) -> str:
        """The name of the method."""
        return "dm"

    def condense(self, problem: Problem, run: Run | None = None) -> Condensed:
        """Condense every set of the problem with these settings."""
        return condense(problem, self, run)


@entrance
def condense(problem: Problem, parameters: DM, run: Run | None = None) -> Condensed:
    """Condense every set of the problem.

    Memory beyond the images: the features of one step's real images (classes x pool_batch x feature_dim), and
    a chunk's activations. Raises DivergenceError when a loss stops being finite.
    """
    images, initial = initialise(problem)
    images.requires_grad_(True)
    labels = hard_labels(problem.sets, problem.classes, problem.ipc, images.device)
    optimiser = torch.optim.SGD([images], lr=parameters.learning_rate, momentum=parameters.momentum)
    matcher = Matcher(problem, parameters)

    def step(index: int) -> torch.Tensor:
        losses, images.grad = matcher.loss_and_gradient(index, images.detach())
        optimiser.step()
        return losses

    with networks.steady_threads(matcher.network, images.dtype, images.device):
        outcome = descend(
            "dm", problem, parameters, run or Run(), images, optimiser, step, parameters.iterations
        )
    return finish(images, labels, initial, outcome)


class Matcher:
    """The matching loss of a problem: made once, evaluated at every step."""

    def __init__(self, problem: Problem, parameters: DM):
        """Work out batch and chunk sizes and who is a member; nothing is drawn."""
        self.problem, self.parameters = problem, parameters
        device, dtype = problem.images.device, problem.images.dtype
        self.network = problem.network or networks.build(
            parameters.extractor, problem.images.shape[1:], problem.classes, parameters.width
        )
        self.features = compiled(self.network.features, parameters.compile)
        memory = parameters.memory_mib or (64 if device.type == "cpu" else 8192)
        image = self.network.activation_bytes(dtype)
        self.chunk = max(1, memory * MEBIBYTE // image)
        self.membership = problem.membership.cpu()
        counts = class_counts(problem.labels, problem.membership, problem.classes).double().mean(0).tolist()
        self.draws = []
        for share, indices in zip(counts, problem.of_class, strict=True):
            wanted = parameters.pool_batch or round(parameters.batch_real * len(indices) / share)
            self.draws.append(min(wanted, len(indices)))
        rows = (sum(self.draws), self.network.feature_dim)
        self.real = torch.zeros(rows, dtype=dtype, device=device)

    def loss_and_gradient(self, index: int, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the losses (K) of step `index` and the gradient of their sum, in the shape of `images`.

        `images`: K x classes x ipc x C x H x W. A set none of whose members is in the batch of a class takes
        no step in that class: its term is 0.
        """
        embed = self.embedding(index)
        targets, present = self.means_of_real(self.batches(index), embed)
        return self.match(images, targets, present, embed)

    def extractor(self, index: int) -> tuple[networks.Weights, augmentation.Transform | None]:
        """Draw the extractor of step `index`: its weights, and its augmentation, None for none."""
        problem, strategy = self.problem, self.parameters.augmentation
        device, dtype = problem.images.device, problem.images.dtype
        draw = lambda purpose: problem.generator(purpose, index, device=device)  # noqa: E731
        theta = self.network.initial(draw("extractor"), dtype, classifier=False)
        return theta, augmentation.draw(strategy, 1, draw("augmentation")) if strategy else None

    def embedding(self, index: int) -> Embedding:
        """Return the map from images (B, C, H, W) to the features (B, D) of step `index`."""
        theta, transform = self.extractor(index)

        def embed(batch: torch.Tensor) -> torch.Tensor:
            if transform is not None:
                batch = augmentation.apply(transform, batch)
            batch = batch.contiguous(memory_format=torch.channels_last)
            if self.parameters.mixed_precision and batch.device.type == "cuda":
                with torch.autocast("cuda", dtype=torch.bfloat16):
                    return self.features(theta, batch).to(self.problem.images.dtype)
            return self.features(theta, batch)

        return embed

    def batches(self, index: int) -> list[torch.Tensor]:
        """Return the real images of step `index`: for each class int64, their places."""
        return [
            indices
            if size == len(indices)
            else indices[
                torch.randperm(len(indices), generator=self.problem.generator("batch", index, c))[:size]
            ]
            for c, (indices, size) in enumerate(zip(self.problem.of_class, self.draws, strict=True))
        ]

    def means_of_real(
        self, batches: list[torch.Tensor], embed: Embedding
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return each set's mean features K x classes x D, and which have an image there, K x classes."""
        images, K = self.problem.images, self.problem.sets
        drawn = torch.cat(batches)
        member = self.membership[:, drawn]
        # Rows of images that no set holds keep older, finite features; their weight is exactly 0.
        needed = member.any(0).nonzero()[:, 0]
        with torch.no_grad():
            for places in needed.split(self.chunk):
                batch = images[drawn[places].to(images.device)]
                short = self.chunk - len(places)
                if short and len(needed) > self.chunk:  # one shape for every chunk: compiled once
                    batch = torch.cat([batch, batch[:1].expand(short, -1, -1, -1)])
                self.real[places.to(images.device)] = embed(batch)[: len(places)]
        weights = torch.zeros((-(-K // ROWS) * ROWS, len(drawn)), dtype=images.dtype)
        weights[:K] = member.to(images.dtype)
        targets = images.new_empty((K, len(batches), self.real.shape[1]))
        present = torch.empty((K, len(batches)), dtype=torch.bool)
        start = 0
        for c, batch in enumerate(batches):
            rows = slice(start, start + len(batch))
            count = weights[:K, rows].sum(1)
            mask = weights[:, rows].to(images.device)
            targets[:, c] = (mask @ self.real[rows])[:K] / count.clamp_min(1)[:, None].to(images.device)
            present[:, c] = count > 0
            start = rows.stop
        return targets, present.to(images.device)

    def match(
        self,
        images: torch.Tensor,
        targets: torch.Tensor,
        present: torch.Tensor,
        embed: Embedding,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the losses (K) of `images` against the real means, and the gradient of their sum.

        targets, present   what `means_of_real` returns. Whole classes of synthetic images go to a chunk.
        """
        K, classes, ipc = images.shape[:3]
        flat = images.flatten(0, 1)  # a row for each class of each set
        wanted, active = targets.flatten(0, 1), present.flatten().to(images.dtype)
        total = len(flat)
        chunks = -(-total // max(1, self.chunk // ipc))
        size = -(-total // chunks)
        gradient = torch.empty_like(flat)
        losses = images.new_empty(total)
        for start in range(0, total, size):
            # The last chunk reaches back so that all have one shape; what it repeats comes out the same.
            rows = slice(min(start, total - size), min(start, total - size) + size)
            part = flat[rows].flatten(0, 1).requires_grad_(True)
            means = embed(part).unflatten(0, (size, ipc)).mean(1)
            loss = (wanted[rows] - means).square().sum(1) * active[rows]
            (part_gradient,) = torch.autograd.grad(loss.sum(), part)
            losses[rows] = loss.detach()
            gradient[rows] = part_gradient.unflatten(0, (size, ipc))
        return losses.unflatten(0, (K, classes)).sum(1), gradient.unflatten(0, (K, classes))
