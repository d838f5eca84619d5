"""DP-MERF (Harder, Adamczewski & Park, AISTATS 2021): a generator matched to one noisy mean embedding.

Random Fourier features of an image (Rahimi & Recht, NIPS 2007), frequencies w ~ N(0, I / length_scale^2),

    phi(x) = sqrt(2 / D) (cos(w_1 x), .., cos(w_{D/2} x), sin(w_1 x), .., sin(w_{D/2} x)),     ||phi(x)|| = 1

joined with the class's unit vector e_y, give the mean embedding (1 / n) sum phi(x_i) e_{y_i}^T, D x classes.
It is released once, with Gaussian noise; the generator is trained against the release and sees no image.

An example's joint feature has norm 1 whatever it is, so the sum has sensitivity 1 when an example is added
or removed, and the mean 2 / n, as in the paper, when one is replaced (by one of any class). Frequencies come
from the seed before the data is looked at. Public: n, the share of each class among the generator's labels,
the length scale (the paper sets it by the median distance of the images, which is a release that no epsilon
includes; here it is a constant), and everything that `noisy_condensation` lists. Images must have been scaled
by constants, to [-1, 1] where the generator's tanh is to reach them.
"""

import math
import time
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F  # noqa: N812

from privacy_for_free.condensation.loop import Run
from privacy_for_free.condensation.problem import Condensed, Problem, hard_labels
from privacy_for_free.core import validate
from privacy_for_free.core.devices import steady_threads
from privacy_for_free.core.entrance import CLASSES, entrance
from privacy_for_free.core.errors import DivergenceError
from privacy_for_free.nets.networks import Weights
from privacy_for_free.private.accounting import Mechanism
from privacy_for_free.private.noisy_condensation.members import check
from privacy_for_free.private.noisy_condensation.sums import clipped_sums, noise

CHUNK_ROWS = 4096  # images whose features are in memory at once


@entrance
@dataclass(frozen=True)
class DPMERF:
    """Settings. The defaults are those of the authors' first code, but for the noise, which is that of one
    release with epsilon 1 at delta 1e-5: that code drew it anew for every batch.

    noise_multiplier  standard deviation of the noise on the sum of joint features
    adjacency         for the accounting, see `accounting`
    features          D, an even number
    length_scale      of the Gaussian kernel, for images in [-1, 1]; the code has sqrt(127) for [0, 1]
    code              normal numbers that a generated image is made of, besides its class
    hidden            widths of the generator's hidden layers, each with batch norm and ReLU
    epochs, batch     of training: n // batch steps per epoch (at least one), of `batch` generated images each
    learning_rate, decay   of Adam, and the factor after every epoch
    """

    noise_multiplier: float = 7.47
    adjacency: str = "replace_one"
    features: int = 1000
    length_scale: float = 2 * math.sqrt(127)
    code: int = 5
    hidden: tuple[int, ...] = (200, 100)
    epochs: int = 5
    batch: int = 500
    learning_rate: float = 0.01
    decay: float = 0.9

    def __post_init__(self) -> None:
        """Refuse values no run can have."""
        Mechanism(self.noise_multiplier, adjacency=self.adjacency)
        for name, least in (("features", 2), ("code", 1), ("epochs", 0), ("batch", 2)):
            validate.whole(name, getattr(self, name), least)
        if self.features % 2:
            raise ValueError(f"features {self.features!r}: allowed are even numbers")
        object.__setattr__(self, "hidden", tuple(int(width) for width in self.hidden))
        if not self.hidden or min(self.hidden) < 1:
            raise ValueError(f"hidden {self.hidden!r}: allowed are one width or more, from 1 up")
        for name in ("length_scale", "learning_rate", "decay"):
            validate.positive(name, getattr(self, name))

    @entrance(counts=CLASSES, shapes="counts classes")
    def mechanism(self, counts: torch.Tensor, ipc: int) -> Mechanism:
        """Return what is released, for accounting: one sum without sampling, whatever the class counts are.

        The generator makes any number of images per class (`ipc`) from it.
        """
        return Mechanism(self.noise_multiplier, adjacency=self.adjacency)

    def condense(self, problem: Problem, run: Run | None = None) -> Condensed:
        """Condense every set of the problem; there is no `run` to keep."""
        return generate(problem, self)


@entrance
def frequencies(problem: Problem, parameters: DPMERF) -> torch.Tensor:
    """Return the frequencies D/2 x d, of the images' dtype: drawn from the seed, the same for every set."""
    shape = (parameters.features // 2, math.prod(problem.images.shape[1:]))
    stream = problem.generator("dp_merf frequencies", device=problem.images.device)
    drawn = torch.randn(shape, generator=stream, dtype=problem.images.dtype, device=problem.images.device)
    return drawn / parameters.length_scale


def fourier(images: torch.Tensor, frequencies: torch.Tensor) -> torch.Tensor:
    """Return phi, N x D, of images N x C x H x W or N x d: cosines first, every row of norm 1."""
    angles = images.flatten(1) @ frequencies.T
    return torch.cat([angles.cos(), angles.sin()], 1) / math.sqrt(len(frequencies))


@entrance
def release(problem: Problem, parameters: DPMERF) -> torch.Tensor:
    """Return each set's noisy mean embedding, float64 K x classes x D: all that is seen of the data."""
    check(problem, parameters)
    w = frequencies(problem, parameters)
    device = problem.images.device
    released = []
    with steady_threads(device):
        for name, row in zip(problem.names, problem.membership.to(device), strict=True):
            members = row.nonzero()[:, 0]
            shape = (problem.classes, parameters.features)
            stream = problem.noise_generator("dp_merf noise", name, settings=parameters)
            total = noise(shape, parameters.noise_multiplier, stream).to(device)
            for rows in members.split(CHUNK_ROWS):
                phi = fourier(problem.images[rows], w)
                total += clipped_sums(phi, problem.labels.to(device)[rows], problem.classes, 1.0)
            released.append(total / len(members))
    return torch.stack(released)


@entrance
def generate(problem: Problem, parameters: DPMERF) -> Condensed:
    """Release, train a generator for each set, and let it make `ipc` images of each class.

    images K x classes x ipc x C x H x W in [-1, 1]; `loss` has every step's squared distance between the
    release and the embedding of a generated batch, up to the shortest set's last step. ValueError unless the
    problem's `init` is "noise" (nothing else of the images is used), DivergenceError when a loss is not
    finite.
    """
    began = time.monotonic()
    counts = check(problem, parameters).double()
    w = frequencies(problem, parameters)
    made, losses = [], []
    with steady_threads(problem.images.device):
        for name, target, count in zip(problem.names, release(problem, parameters), counts, strict=True):
            weights, statistics, loss = _fit(problem, parameters, name, target, count, w)
            made.append(_sample(problem, parameters, name, weights, statistics))
            losses.append(loss)
    lengths = {len(loss) for loss in losses}
    loss = torch.stack([loss[: min(lengths)] for loss in losses])
    labels = hard_labels(problem.sets, problem.classes, problem.ipc, problem.images.device)
    initial = torch.full(problem.shape[:3], -1, dtype=torch.int64, device=problem.images.device)
    steps = torch.arange(loss.shape[1])
    return Condensed(torch.stack(made), labels, initial, loss, steps, seconds=time.monotonic() - began)


def _fit(
    problem: Problem,
    parameters: DPMERF,
    name: int,
    target: torch.Tensor,
    counts: torch.Tensor,
    w: torch.Tensor,
) -> tuple[Weights, Weights, torch.Tensor]:
    """Return the generator's weights, the statistics of its batch norms, and the losses, float64."""
    device, dtype = problem.images.device, problem.images.dtype
    weights, statistics = initial(problem, parameters, name)
    optimiser = torch.optim.Adam(weights.values(), lr=parameters.learning_rate)
    codes = problem.generator("dp_merf codes", name, device=device)
    choices = problem.generator("dp_merf labels", name)
    an_epoch = max(1, int(counts.sum()) // parameters.batch)
    target, losses = target.to(dtype), []
    for step in range(parameters.epochs * an_epoch):
        for group in optimiser.param_groups:
            group["lr"] = parameters.learning_rate * parameters.decay ** (step // an_epoch)
        labels = torch.multinomial(counts, parameters.batch, replacement=True, generator=choices).to(device)
        shape = (parameters.batch, parameters.code)
        code = torch.randn(shape, generator=codes, dtype=dtype, device=device)
        images = forward(weights, statistics, code, labels, problem.classes, training=True)
        joint = F.one_hot(labels, problem.classes).to(dtype).T @ fourier(images, w) / parameters.batch
        loss = (target - joint).square().sum()
        losses.append(loss.item())
        if not math.isfinite(losses[-1]):
            raise DivergenceError(
                f"dp_merf: step {step}: the loss of set {name} is {losses[-1]}; lower the learning rate "
                f"(now {parameters.learning_rate})"
            )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    detached = {key: value.detach() for key, value in weights.items()}
    return detached, statistics, torch.tensor(losses, dtype=torch.float64)


def initial(problem: Problem, parameters: DPMERF, name: int) -> tuple[Weights, Weights]:
    """Return a set's generator before training, and the running statistics of its batch norms.

    Weights are drawn as torch's linear layers draw them, from the seed and the set's name; batch norms start
    as the identity.
    """
    device, dtype = problem.images.device, problem.images.dtype
    stream = problem.generator("dp_merf generator", name, device=device)
    widths = (parameters.code + problem.classes, *parameters.hidden, math.prod(problem.images.shape[1:]))
    weights, statistics = {}, {}
    for layer, (inputs, outputs) in enumerate(pairwise(widths)):
        for part, shape in (("weight", (outputs, inputs)), ("bias", (outputs,))):
            uniform = torch.rand(shape, generator=stream, dtype=dtype, device=device)
            weights[f"{layer}.{part}"] = (2 * uniform - 1) / math.sqrt(inputs)
        if layer < len(parameters.hidden):
            weights[f"{layer}.scale"] = torch.ones(outputs, dtype=dtype, device=device)
            weights[f"{layer}.shift"] = torch.zeros(outputs, dtype=dtype, device=device)
            statistics[f"{layer}.mean"] = torch.zeros(outputs, dtype=dtype, device=device)
            statistics[f"{layer}.variance"] = torch.ones(outputs, dtype=dtype, device=device)
    return {key: value.requires_grad_(True) for key, value in weights.items()}, statistics


def forward(
    weights: Weights,
    statistics: Weights,
    code: torch.Tensor,
    labels: torch.Tensor,
    classes: int,
    training: bool = False,
) -> torch.Tensor:
    """Return images N x d in [-1, 1] for codes (N x code) and labels (int64, N).

    In training the batch norms use the batch's own statistics and update the running ones, in place.
    """
    hidden = torch.cat([code, F.one_hot(labels, classes).to(code.dtype)], 1)
    last = len(statistics) // 2
    for layer in range(last):
        hidden = F.linear(hidden, weights[f"{layer}.weight"], weights[f"{layer}.bias"])
        mean, variance = statistics[f"{layer}.mean"], statistics[f"{layer}.variance"]
        scale, shift = weights[f"{layer}.scale"], weights[f"{layer}.shift"]
        hidden = F.relu(F.batch_norm(hidden, mean, variance, scale, shift, training))
    return torch.tanh(F.linear(hidden, weights[f"{last}.weight"], weights[f"{last}.bias"]))


@torch.no_grad()
def _sample(
    problem: Problem, parameters: DPMERF, name: int, weights: Weights, statistics: Weights
) -> torch.Tensor:
    """Return generated images classes x ipc x C x H x W."""
    device = problem.images.device
    labels = torch.arange(problem.classes, device=device).repeat_interleave(problem.ipc)
    stream = problem.generator("dp_merf sample", name, device=device)
    shape = (len(labels), parameters.code)
    code = torch.randn(shape, generator=stream, dtype=problem.images.dtype, device=device)
    return forward(weights, statistics, code, labels, problem.classes).view(problem.shape[1:])
