"""A small conditional GAN without privacy: the kind of data generator that condensation is compared with.

The generator (Mirza & Osindero 2014 for the condition; the layout of DCGAN, Radford, Metz & Chintala, ICLR
2016, with upsampling in place of transposed convolutions) maps a code and a class to an image in [-1, 1]: a
linear layer to width x side/4 x side/4, then twice batch norm, ReLU, upsampling by 2 and a 3x3 convolution,
and tanh. The discriminator is the ConvNet of this package; its score for an image of class y is its logit y,
the inner product of features and a class's vector in Miyato & Koyama, ICLR 2018. Both are trained with the
hinge loss (Lim & Ye 2017; Miyato et al., ICLR 2018):

    discriminator  mean max(0, 1 - D(x, y)) + mean max(0, 1 + D(G(z, y'), y'))
    generator      - mean D(G(z, y'), y')
"""

import math
import time
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812

from privacy_for_free.condensation.loop import Run
from privacy_for_free.condensation.problem import Condensed, Problem, hard_labels
from privacy_for_free.core import devices, validate
from privacy_for_free.core.entrance import entrance
from privacy_for_free.core.errors import DivergenceError
from privacy_for_free.nets import networks
from privacy_for_free.nets.networks import Weights
from privacy_for_free.nets.schedule import check_rate


@entrance
@dataclass(frozen=True)
class GAN:
    """Settings; those of Adam are DCGAN's.

    steps          updates of the generator, each after one of the discriminator
    batch          real images per step, and as many generated ones
    code           normal numbers that an image is made of, besides its class
    width          channels of the generator
    discriminator_width   channels of the ConvNet
    learning_rate, beta   of Adam: rate and first-moment decay, for both
    """

    steps: int = 4000
    batch: int = 64
    code: int = 64
    width: int = 64
    discriminator_width: int = 64
    learning_rate: float = 2e-4
    beta: float = 0.5

    def __post_init__(self) -> None:
        """Refuse values no training can have."""
        validate.whole("steps", self.steps)
        validate.whole("batch", self.batch, 2, networks.LARGEST)
        for name in ("code", "width", "discriminator_width"):
            validate.whole(name, getattr(self, name), 1, networks.LARGEST)
        check_rate("learning_rate", self.learning_rate)
        validate.fraction("beta", self.beta)

    initialisations = ("noise",)
    name = "gan"

    def condense(self, problem: Problem, run: Run | None = None) -> Condensed:
        """Generate every set of the problem; there is no `run` to keep."""
        return generate(problem, self)


@entrance
@dataclass(frozen=True)
class Generator:
    """Maps codes (N x code) and labels (int64, N) to images N x channels x size x size in [-1, 1]."""

    channels: int
    size: int
    classes: int
    code: int = 64
    width: int = 64

    def __post_init__(self) -> None:
        """Refuse what is no number of channels, classes, numbers or pixels; those are multiples of 4."""
        for name in ("channels", "classes", "code", "width"):
            validate.whole(name, getattr(self, name), 1, networks.LARGEST)
        if validate.whole("size", self.size, 4, networks.LARGEST) % 4:
            raise ValueError(f"size {self.size} of images in pixels: allowed are multiples of 4")

    def initial(self, stream: torch.Generator, dtype: torch.dtype = torch.float32) -> tuple[Weights, Weights]:
        """Draw weights as torch's layers do; return them and the batch norms' running statistics."""
        device, weights, statistics = stream.device, {}, {}
        last = {"weight": (self.channels, self.width, 3, 3), "bias": (self.channels,)}
        middle = {"weight": (self.width, self.width, 3, 3), "bias": (self.width,)}
        flat = self.width * (self.size // 4) ** 2
        first = {"weight": (flat, self.code + self.classes), "bias": (flat,)}
        for layer, shapes in (("0", first), ("1", middle), ("2", last)):
            fan_in = math.prod(shapes["weight"][1:])
            for part, shape in shapes.items():
                uniform = torch.rand(shape, generator=stream, dtype=dtype, device=device)
                weights[f"{layer}.{part}"] = (2 * uniform - 1) / math.sqrt(fan_in)
        for layer in ("1", "2"):
            weights[f"{layer}.scale"] = torch.ones(self.width, dtype=dtype, device=device)
            weights[f"{layer}.shift"] = torch.zeros(self.width, dtype=dtype, device=device)
            statistics[f"{layer}.mean"] = torch.zeros(self.width, dtype=dtype, device=device)
            statistics[f"{layer}.variance"] = torch.ones(self.width, dtype=dtype, device=device)
        return weights, statistics

    def images(
        self,
        weights: Weights,
        statistics: Weights,
        code: torch.Tensor,
        labels: torch.Tensor,
        training: bool = False,
    ) -> torch.Tensor:
        """Return images; in training batch norms use the batch and update the statistics, in place."""
        inputs = torch.cat([code, F.one_hot(labels, self.classes).to(code.dtype)], 1)
        side = self.size // 4
        hidden = F.linear(inputs, weights["0.weight"], weights["0.bias"]).view(-1, self.width, side, side)
        for layer in ("1", "2"):
            running = statistics[f"{layer}.mean"], statistics[f"{layer}.variance"]
            affine = weights[f"{layer}.scale"], weights[f"{layer}.shift"]
            hidden = F.relu(F.batch_norm(hidden, *running, *affine, training=training))
            hidden = F.interpolate(hidden, scale_factor=2)
            hidden = F.conv2d(hidden, weights[f"{layer}.weight"], weights[f"{layer}.bias"], padding=1)
        return torch.tanh(hidden)


@entrance
def generate(problem: Problem, parameters: GAN) -> Condensed:
    """Train a GAN on each set's members and let it make `ipc` images of each class.

    images K x classes x ipc x C x H x W in [-1, 1], which is where the real images should lie too. `loss` is
    the discriminator's, of every step, and says little about quality. In training, generated images have the
    labels of the real batch. On a CPU it is trained by one thread (`devices.steady_threads`). ValueError
    unless the problem's `init` is "noise" (a generator starts from no image), and for images whose side is
    not a multiple of 4; DivergenceError when a loss is not finite.
    """
    began = time.monotonic()
    if problem.init != "noise":
        raise ValueError(f"init {problem.init!r}: allowed is 'noise', a generator starts from no image")
    channels, size, _ = problem.images.shape[1:]
    if size % 4:
        raise ValueError(f"problem of images of {size} pixels: allowed are multiples of 4")
    generator = Generator(channels, size, problem.classes, parameters.code, parameters.width)
    device, dtype = problem.images.device, problem.images.dtype
    made, losses = [], []
    labels = torch.arange(problem.classes, device=device).repeat_interleave(problem.ipc)
    for k, name in enumerate(problem.names):
        members = problem.membership[k].to(device).nonzero()[:, 0]
        with devices.steady_threads(device):
            weights, statistics, loss = fit(problem, parameters, generator, name, members)
        stream = problem.generator("gan sample", name, device=device)
        code = torch.randn((len(labels), parameters.code), generator=stream, dtype=dtype, device=device)
        with torch.no_grad():
            images = generator.images(weights, statistics, code, labels)
        made.append(images.view(problem.shape[1:]))
        losses.append(loss)
    return Condensed(
        torch.stack(made),
        hard_labels(problem.sets, problem.classes, problem.ipc, device),
        torch.full(problem.shape[:3], -1, dtype=torch.int64, device=device),
        torch.stack(losses),
        torch.arange(parameters.steps),
        seconds=time.monotonic() - began,
    )


def discriminator_loss(real: torch.Tensor, made: torch.Tensor) -> torch.Tensor:
    """Return the hinge loss of scores (N) of real and of generated images."""
    return F.relu(1 - real).mean() + F.relu(1 + made).mean()


def fit(
    problem: Problem, parameters: GAN, generator: Generator, name: int, members: torch.Tensor
) -> tuple[Weights, Weights, torch.Tensor]:
    """Train on one set: its name, and its members' indices, int64, where the images are.

    Returns the generator's weights, its batch norms' running statistics, and the discriminator's losses,
    float64, one for each step. DivergenceError when a loss is not finite.
    """
    device, dtype = problem.images.device, problem.images.dtype
    critic = networks.build(
        "convnet", problem.images.shape[1:], problem.classes, parameters.discriminator_width
    )
    weights, statistics = generator.initial(problem.generator("gan generator", name, device=device), dtype)
    judge = critic.initial(problem.generator("gan discriminator", name, device=device), dtype)
    for values in (weights, judge):
        for value in values.values():
            value.requires_grad_(True)
    options = {"lr": parameters.learning_rate, "betas": (parameters.beta, 0.999)}
    improve = torch.optim.Adam(weights.values(), **options)
    sharpen = torch.optim.Adam(judge.values(), **options)
    batches = problem.generator("gan batch", name)
    codes = problem.generator("gan codes", name, device=device)
    losses = []
    for step in range(parameters.steps):
        rows = torch.randint(len(members), (parameters.batch,), generator=batches)
        rows = members[rows.to(device)]
        labels = problem.labels.to(device)[rows]

        def score(images: torch.Tensor, labels: torch.Tensor = labels) -> torch.Tensor:
            return critic.logits(judge, images).gather(1, labels[:, None])[:, 0]

        shape = (parameters.batch, parameters.code)
        code = torch.randn(shape, generator=codes, dtype=dtype, device=device)
        made = generator.images(weights, statistics, code, labels, training=True)
        loss = discriminator_loss(score(problem.images[rows]), score(made.detach()))
        sharpen.zero_grad()
        loss.backward()
        sharpen.step()
        improve.zero_grad()
        (-score(made).mean()).backward()
        improve.step()
        losses.append(loss.item())
        if not math.isfinite(losses[-1]):
            raise DivergenceError(
                f"gan: step {step}: the discriminator's loss of set {name} is {losses[-1]}; lower the "
                f"learning rate (now {parameters.learning_rate})"
            )
    detached = {key: value.detach() for key, value in weights.items()}
    return detached, statistics, torch.tensor(losses, dtype=torch.float64)
