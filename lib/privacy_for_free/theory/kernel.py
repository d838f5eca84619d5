"""Distribution matching as a squared MMD: the kernel of an extractor, and how far one image moves the target.

For a random extractor psi let K(x, y) = E_theta <psi(x), psi(y)>, and mu_T the mean of K(x, .) over the
images x of T, in the reproducing kernel Hilbert space of K. Then

    L(S) = E_theta || mean_T psi - mean_S psi ||^2 = || mu_T - mu_S ||^2,

the squared maximum mean discrepancy (Gretton et al., JMLR 2012, lemma 6, with all pairs: the V-statistic). T
enters only through mu_T, and removing x moves it by

    || mu_T - mu_{T\\x} || = || K(x, .) - mu_{T\\x} || / n <= 2 kappa / n,    kappa^2 = max K(x, x),

because mu_T = ((n - 1) mu_{T\\x} + K(x, .)) / n. The linear extractor theta x with k rows of variance v has
K(x, y) = v k <x, y>. A random ReLU layer of infinite width has the arc-cosine kernel of order 1 (Cho & Saul,
NIPS 2009); more layers compose it (Lee et al., ICLR 2018).

Images are rows: real (n, d), synthetic (m, d), float64. A kernel is a function of x (n, d) and z (m, d) that
returns the Gram matrix (n, m). It is differentiated, so it keeps the history of its arguments and checks
nothing of them; the functions that take a kernel check what they give it, and what it returns.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from privacy_for_free.core import plain, validate
from privacy_for_free.core.entrance import entrance
from privacy_for_free.nets.infinite_width import FullyConnected
from privacy_for_free.nets.networks import Network, Weights
from privacy_for_free.theory import answers, checks

Kernel = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

# --- kernels ---------------------------------------------------------------------------------------------


@entrance
def linear(scale: float = 1.0) -> Kernel:
    """Return the kernel scale * <x, z>; with scale v k it is that of the linear extractor.

    A check, used by tests: what this module says of kernels is what `theory.linear` says of this one.
    """
    validate.positive("scale", scale)
    return lambda x, z: scale * (x @ z.mT)


@entrance
def gaussian(bandwidth: float = 1.0) -> Kernel:
    """Return the kernel exp(-||x - z||^2 / (2 bandwidth^2)): smooth and bounded by 1.

    A check, used by tests: a kernel whose bound 2 / n needs no data.
    """
    validate.positive("bandwidth", bandwidth)
    return lambda x, z: (-(x[:, None] - z[None]).square().sum(-1) / (2 * bandwidth**2)).exp()


@entrance
def arc_cosine(depth: int = 1, weight_variance: float = 2.0, bias_variance: float = 0.0) -> Kernel:
    """Return E <psi(x), psi(z)> of `RandomReLU` at infinite width: the order-1 arc-cosine kernel, composed.

    It is what the next layer of the network sees: (nngp - bias_variance) / weight_variance, with the nngp of
    `infinite_width.FullyConnected`, which also checks the arguments. At depth 1 it holds for every width.
    ValueError for depth 0, which has no ReLU.
    """
    validate.whole("depth", depth, 1)
    network = FullyConnected(depth, weight_variance, bias_variance)
    return lambda x, z: (network.nngp(x, None if x is z else z) - bias_variance) / weight_variance


@entrance
@dataclass(frozen=True)
class RandomReLU:
    """A random network of `depth` ReLU layers, its features scaled so that their inner product is a mean.

    u = sqrt(weight_variance / fan-in) W h + sqrt(bias_variance) b with W and b standard normal, h = relu(u),
    and psi = h / sqrt(width) in the last layer, so <psi(x), psi(z)> is the mean of relu(u) relu(v) over the
    units. inputs is d. It draws and computes like the networks of `privacy_for_free.nets.networks`.
    """

    inputs: int
    depth: int = 1
    width: int = 512
    weight_variance: float = 2.0
    bias_variance: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what is not a network."""
        for name in ("inputs", "depth", "width"):
            validate.whole(name, getattr(self, name), 1)
        FullyConnected(self.depth, self.weight_variance, self.bias_variance)

    def initial(
        self, generator: torch.Generator, dtype: torch.dtype = torch.float64, classifier: bool = False
    ) -> Weights:
        """Draw weights and biases on the generator's device; there is no classifier."""
        parameters, inputs = {}, self.inputs
        for layer in range(self.depth):
            weight = torch.randn(
                (self.width, inputs), generator=generator, dtype=dtype, device=generator.device
            )
            bias = torch.randn(self.width, generator=generator, dtype=dtype, device=generator.device)
            parameters[f"{layer}.weight"] = weight * math.sqrt(self.weight_variance / inputs)
            parameters[f"{layer}.bias"] = bias * math.sqrt(self.bias_variance)
            inputs = self.width
        return parameters

    def features(self, parameters: Weights, images: torch.Tensor) -> torch.Tensor:
        """Map images (n, d) to features (n, width)."""
        hidden = images
        for layer in range(self.depth):
            hidden = (hidden @ parameters[f"{layer}.weight"].mT + parameters[f"{layer}.bias"]).relu()
        return hidden / math.sqrt(self.width)


@entrance
def monte_carlo_kernel(
    network: "Network | RandomReLU", images: torch.Tensor, draws: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Estimate K(x, z) = E_theta <psi(x), psi(z)> by drawing extractors: mean and standard error (n, n).

    network  anything that draws parameters (`initial`) and applies them (`features`): `RandomReLU` on rows
             (n, d), or a network of `privacy_for_free.nets.networks` on images (n, C, H, W)
    draws    independent networks, at least 2

    The mean is unbiased for the kernel of this width. For one ReLU layer that is the arc-cosine kernel
    itself; for more layers the kernel of a finite width is O(1 / width) away from the one of infinite width,
    which no number of draws removes. ValueError for fewer than 2 draws.
    """
    validate.whole("draws", draws, 2)
    checks.floats(images=images)
    if images.dim() < 2 or not images.numel():
        raise ValueError(f"images {tuple(images.shape)}: allowed are one or more, (n, d) or (n, C, H, W)")
    if isinstance(network, RandomReLU) and images.shape[1:] != (network.inputs,):
        raise ValueError(f"images {tuple(images.shape)}: allowed are (n, {network.inputs}), as the network")
    checks.memory(f"{len(images)} images", len(images) ** 2)
    mean = images.new_zeros((len(images), len(images)))
    spread = torch.zeros_like(mean)
    for index in range(draws):  # Welford's update: no cancellation between large sums
        parameters = network.initial(generator, images.dtype, classifier=False)
        features = network.features(parameters, images)
        away = features @ features.mT - mean
        mean += away / (index + 1)
        spread += away.square() * (index / (index + 1))
    return mean, (spread / (draws - 1) / draws).sqrt()


# --- distances of mean embeddings ------------------------------------------------------------------------


def mmd_squared(kernel: Kernel, real: torch.Tensor, synthetic: torch.Tensor) -> torch.Tensor:
    """Return || mu_T - mu_S ||^2 of real (n, d) and synthetic (m, d): the V-statistic, a scalar.

    Differentiable in both, where the kernel is.
    """
    _check(real=real, synthetic=synthetic)
    between = _gram(kernel, real, synthetic).mean()
    return _gram(kernel, real, real).mean() - 2 * between + _gram(kernel, synthetic, synthetic).mean()


@entrance(shapes="real n d, synthetic m d")
def mmd_gradient(kernel: Kernel, real: torch.Tensor, synthetic: torch.Tensor) -> torch.Tensor:
    """Return the gradient (m, d) of `mmd_squared` in the synthetic images.

    A check, used by tests: it is that of `theory.linear` for the linear kernel.
    """
    _check(real=real, synthetic=synthetic)
    variable = synthetic.detach().clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(mmd_squared(kernel, real.detach(), variable), variable)
    return gradient


@entrance(shapes="real n d")
def mean_embedding_shift(
    kernel: Kernel, real: torch.Tensor, index: int | torch.Tensor | None = None
) -> torch.Tensor:
    """Return || mu_T - mu_{T\\x} || for the images x of real (n, d) named by `index`; None: for all, (n,).

    Exact, from one Gram matrix: n^2 times its square is K(x, x) - 2 mean K(x, T\\x) + mean K(T\\x, T\\x).
    ValueError for fewer than 2 images and for an index that is not one of theirs.
    """
    _check(real=real)
    n = len(real)
    if isinstance(index, int):
        checks.place(index, n)
    chosen = torch.arange(n) if index is None else torch.as_tensor(index)
    if chosen.is_floating_point() or chosen.dtype is torch.bool:
        raise ValueError(f"index {chosen.dtype}: allowed are whole numbers")
    if n < 2 or not bool(((chosen >= 0) & (chosen < n)).all()):
        raise ValueError(f"index {index}: allowed are 0 to {n - 1}, of at least 2 images")
    gram = _gram(kernel, real, real)
    own, rows = gram.diagonal(), gram.sum(1)
    with_others = (rows - own) / (n - 1)
    among_others = (rows.sum() - 2 * rows + own) / (n - 1) ** 2
    square = own - 2 * with_others + among_others
    return square.clamp_min(0).sqrt()[chosen.to(real.device)] / n


@entrance(shapes="real n d")
def mean_embedding_bound(kernel: Kernel, real: torch.Tensor) -> float:
    """Return 2 kappa / n, kappa^2 the largest K(x, x) of real (n, d): no image moves mu_T by more."""
    _check(real=real)
    largest = max(float(_gram(kernel, row[None], row[None])) for row in real)
    return 2 * math.sqrt(largest) / len(real)


def _gram(kernel: Kernel, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    """Return the Gram matrix (n, m) with its history; ValueError where a kernel returns something else."""
    found = kernel(x, z)
    name = f"kernel({tuple(x.shape)}, {tuple(z.shape)})"
    if not isinstance(found, torch.Tensor):
        raise plain.refused(name, found, "is a torch tensor")
    answers.returned(name, found, (len(x), len(z)), torch.float64)
    return found


def _check(**images: torch.Tensor) -> None:
    """Refuse images, by name, that are not float64 rows of one length, or are too many for memory."""
    (first, *_) = images.values()
    for name, rows in images.items():
        if (
            rows.dtype != torch.float64
            or rows.dim() != 2
            or not len(rows)
            or rows.shape[1] != first.shape[-1]
        ):
            raise ValueError(
                f"{name} {rows.dtype} {tuple(rows.shape)}: allowed are float64, one row or more of the same "
                "length"
            )
    sizes = [len(rows) for rows in images.values()]
    checks.memory(f"{', '.join(images)} of {sizes} rows", sizes[0] * max(sizes))
