"""Distribution matching by a bank of extractors, for any number of sets at once.

The published loop (`dm`) sends real images through a fresh extractor at every step, and that is nearly all of
its cost. Here R extractors, each with one augmentation of its own, are drawn first; the real images pass each
of them once, for all K sets together; and what is kept is the mean feature of each class of each set,

    a_rkc = mean_{x in B_rkc} psi_r(A_r(x)),   r = 1 .. R,

with B_rkc the members of set k among the images of class c that extractor r sees: all of them, or a sample.
After that a step touches synthetic images alone: it draws `per_step` of the R extractors and descends

    L_k = mean over them of sum_c || a_rkc - mean_{s in S_kc} psi_r(A_r(s)) ||^2

No term couples two sets. With `bank` None there is no bank: every step has fresh extractors, as in the
published loop, under the schedule and in the box of these settings. Extractor r of a bank is that of step r
of the published loop with the same seed: its weights, its augmentation, and its sample of images.

A bank that is known is a leak. The released images are stationary, or nearly so, for a loss whose R
extractors anyone who has the seed can draw again (`bank_of`), and its gradient is linear in who is a member
(`attacks.optimality`). A seed that can be guessed is known. Fresh extractors at every step are no protection
either: the images are then stationary for the mean over all extractors, which needs no seed to be estimated.
"""

import math
from dataclasses import dataclass

import torch

from privacy_for_free.condensation.dm import DM, Matcher
from privacy_for_free.condensation.loop import Run, descend, finish
from privacy_for_free.condensation.problem import (
    INITIALISATIONS,
    Condensed,
    Problem,
    hard_labels,
    initialise,
)
from privacy_for_free.core import devices, validate
from privacy_for_free.core.entrance import entrance
from privacy_for_free.nets import augmentation, networks
from privacy_for_free.nets.schedule import MANY, check_rate

SCHEDULES = ("constant", "cosine")
ORDERS = ("random", "cycle")


@entrance
@dataclass(frozen=True)
class BankedDM:
    """Settings.

    bank          R, how many extractors; None: no bank, fresh extractors at every step
    per_step      extractors that a step matches; None: all of the bank, the whole gradient
    order         which ones: "random", drawn without replacement at every step, or "cycle", the next ones
    batch_real    real images per class that an extractor sees, of the set's own, on average; None: all
    pool_batch    images of each class drawn for all sets together; None: batch_real over the mean share of a
                  class that a set holds. Give it to compare runs of sets with different shares.
    iterations, learning_rate, momentum   of gradient descent on the pixels
    schedule      "constant", or "cosine": the rate falls from learning_rate to 0 along half a cosine
    clamp         keep every pixel, after every step, in the range that its channel has in the real images
    extractor, width  what networks.build builds
    augmentation  strategy of the siamese augmentation, "" for none
    memory_mib    what the activations of a chunk may take; None: 64 on a CPU, 8192 on a GPU
    compile       torch.compile the extractor
    mixed_precision   bfloat16 convolutions on a GPU (changes nothing on a CPU)
    """

    bank: int | None = 100
    per_step: int | None = 1
    order: str = "random"
    batch_real: int | None = None
    pool_batch: int | None = None
    iterations: int = 1500
    learning_rate: float = 10.0
    momentum: float = 0.5
    schedule: str = "cosine"
    clamp: bool = False
    extractor: str = "convnet"
    width: int = 128
    augmentation: str = augmentation.STRATEGY
    memory_mib: int | None = None
    compile: bool = False
    mixed_precision: bool = False

    def __post_init__(self) -> None:
        """Refuse values no run can have."""
        for name in ("bank", "per_step", "batch_real", "pool_batch", "memory_mib"):
            if getattr(self, name) is not None:
                validate.whole(name, getattr(self, name), 1, MANY)
        if self.per_step is None and self.bank is None:
            raise ValueError("per_step None without a bank: allowed are whole numbers from 1 up")
        if self.bank is not None and (self.per_step or 1) > self.bank:
            raise ValueError(f"per_step {self.per_step!r}: allowed are 1 to {self.bank}, the whole bank")
        validate.one_of("order", self.order, ORDERS)
        validate.whole("iterations", self.iterations)
        check_rate("learning_rate", self.learning_rate)
        validate.fraction("momentum", self.momentum)
        validate.one_of("schedule", self.schedule, SCHEDULES)
        validate.one_of("extractor", self.extractor, networks.KINDS)
        validate.whole("width", self.width, 1, networks.LARGEST)
        augmentation.kinds(self.augmentation)

    initialisations = INITIALISATIONS
    takes_network = True

    @property
    def name(self) -> str:
        """The name of the method."""
        return "dm_bank"

    def rate(self, step: int) -> float:
        """Return the learning rate of step 0 .. iterations-1.

        >>> [round(BankedDM(iterations=4, learning_rate=2.0).rate(step), 3) for step in range(4)]
        [2.0, 1.707, 1.0, 0.293]
        """
        if self.schedule == "constant":
            return self.learning_rate
        return self.learning_rate * (1 + math.cos(math.pi * step / self.iterations)) / 2

    @property
    def matching(self) -> DM:
        """The settings of the published loop that draws the same extractors and images."""
        everything = self.batch_real is None and self.pool_batch is None
        return DM(
            self.iterations,
            self.learning_rate,
            self.momentum,
            1 if self.batch_real is None else self.batch_real,
            MANY if everything else self.pool_batch,
            self.extractor,
            self.width,
            self.augmentation,
            self.memory_mib,
            self.compile,
            self.mixed_precision,
        )

    def condense(self, problem: Problem, run: Run | None = None) -> Condensed:
        """Condense every set of the problem with these settings."""
        return condense(problem, self, run)


@entrance
def condense(problem: Problem, parameters: BankedDM, run: Run | None = None) -> Condensed:
    """Condense every set of the problem.

    Memory beyond the images: R x K x classes x feature_dim numbers of the images' dtype for the bank, the
    features of the real images that one extractor sees, and a chunk's activations. A run that goes on from a
    checkpoint makes the bank again: the same numbers. ValueError for a bank beyond the memory,
    DivergenceError when a loss stops being finite.
    """
    matcher = Matcher(problem, parameters.matching)
    _check_memory(problem, parameters, matcher)
    images, initial = initialise(problem)
    images.requires_grad_(True)
    labels = hard_labels(problem.sets, problem.classes, problem.ipc, images.device)
    optimiser = torch.optim.SGD([images], lr=parameters.learning_rate, momentum=parameters.momentum)
    low, high = (extreme(problem.images, (0, 2, 3)) for extreme in (torch.amin, torch.amax))

    with networks.steady_threads(matcher.network, images.dtype, images.device):
        bank = Bank(matcher, parameters)

        def step(index: int) -> torch.Tensor:
            optimiser.param_groups[0]["lr"] = parameters.rate(index)
            losses, images.grad = bank.loss_and_gradient(index, images.detach())
            optimiser.step()
            if parameters.clamp:
                with torch.no_grad():
                    images.clamp_(low[:, None, None], high[:, None, None])
            return losses

        outcome = descend(
            "dm_bank", problem, parameters, run or Run(), images, optimiser, step, parameters.iterations
        )
    return finish(images, labels, initial, outcome)


@entrance
def bank_of(
    problem: Problem, parameters: BankedDM
) -> tuple[tuple[networks.Weights, ...], tuple[augmentation.Transform, ...] | None]:
    """Return what someone who knows the problem's seed knows: the weights and the transforms of the bank.

    R each, in the order of the bank; None for the transforms of settings without augmentation. No image is
    looked at. ValueError where there is no bank.
    """
    if parameters.bank is None:
        raise ValueError("parameters of a bank None: allowed are settings with a bank")
    matcher = Matcher(problem, parameters.matching)
    drawn = [matcher.extractor(r) for r in range(parameters.bank)]
    transforms = tuple(transform for _, transform in drawn) if parameters.augmentation else None
    return tuple(weights for weights, _ in drawn), transforms


class Bank:
    """Extractors and the mean features of the real images: made once, matched at every step.

    means    R x K x classes x D, of the images' dtype; None without a bank
    present  bool, R x K x classes: where the extractor has seen an image of the set
    """

    def __init__(self, matcher: Matcher, parameters: BankedDM):
        """Send the real images through every extractor."""
        self.matcher, self.parameters = matcher, parameters
        self.means = self.present = None
        if parameters.bank is not None and parameters.iterations > 0:
            found = [self._look(r) for r in range(parameters.bank)]
            self.means = torch.stack([means for means, _ in found])
            self.present = torch.stack([present for _, present in found])

    def _look(self, r: int) -> tuple[torch.Tensor, torch.Tensor]:
        matcher = self.matcher
        return matcher.means_of_real(matcher.batches(r), matcher.embedding(r))

    def chosen(self, index: int) -> list[int]:
        """Return which extractors step `index` matches, ascending but for a cycle."""
        parameters = self.parameters
        bank, count = parameters.bank, parameters.per_step
        if bank is None:
            return list(range(index * count, (index + 1) * count))
        if count is None:
            return list(range(bank))
        if parameters.order == "cycle":
            return [place % bank for place in range(index * count, (index + 1) * count)]
        stream = self.matcher.problem.generator("extractors of a step", index)
        return sorted(torch.randperm(bank, generator=stream)[:count].tolist())

    def loss_and_gradient(self, index: int, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the losses (K) of step `index` and the gradient of their sum, in the shape of `images`.

        `images`: K x classes x ipc x C x H x W. Both are means over the extractors of the step.
        """
        losses, gradient = images.new_zeros(len(images)), torch.zeros_like(images)
        places = self.chosen(index)
        for r in places:
            if self.means is None:
                targets, present = self._look(r)
            else:
                targets, present = self.means[r], self.present[r]
            loss, part = self.matcher.match(images, targets, present, self.matcher.embedding(r))
            losses, gradient = losses + loss, gradient + part
        return losses / len(places), gradient / len(places)


def _check_memory(problem: Problem, parameters: BankedDM, matcher: Matcher) -> None:
    shape = (parameters.bank or 1, problem.sets, problem.classes, matcher.network.feature_dim)
    devices.check_size(f"bank {parameters.bank}: means", shape, problem.images.dtype, problem.images.device)
