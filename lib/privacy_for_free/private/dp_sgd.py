"""DP-SGD (Abadi et al., CCS 2016) for the functional networks: clipped, noisy gradients of Poisson samples.

Clipping, accumulation, noise and step are Opacus's DPOptimizer. Gradients of single examples come from
torch.func, which takes any network of this package as it is: on the ConvNet that is as fast as Opacus's
hooks on a copy of it in modules, and faster than its own fallback for functions.

What the proof rests on. A step's sum holds one gradient for each example of the sample, scaled down to the
norm C by a function of that example and of what earlier steps released; one that is not finite counts as 0.
The noise has standard deviation noise_multiplier x C in every coordinate, from a generator of its own that is
named after the secret seed, the examples and the settings: one seed gives other data other noise. The sum is
divided by the expected size of a sample, never by its own. Instance norm looks at one image at a time; a
network with batch statistics would break the proof. Public: the number of examples, and what
`noisy_condensation` lists. There is no early stopping.
"""

import secrets
from dataclasses import dataclass

import torch
from torch.nn import Parameter
from torch.nn.functional import cross_entropy

from privacy_for_free.condensation.problem import digest
from privacy_for_free.core import validate
from privacy_for_free.core.devices import steady_threads
from privacy_for_free.core.entrance import entrance
from privacy_for_free.core.errors import DivergenceError
from privacy_for_free.core.randomness import generator
from privacy_for_free.nets import networks
from privacy_for_free.nets.networks import Network
from privacy_for_free.private.accounting import Mechanism
from privacy_for_free.private.noisy_condensation.members import check_secret
from privacy_for_free.private.noisy_condensation.sums import poisson_sample

BOUND_SHARE = 1 - 1e-5  # what Opacus clips to, of C: more than float32 rounds off


@entrance
@dataclass(frozen=True)
class DPSGD:
    """Settings; none is published for this network.

    noise_multiplier  standard deviation of the noise on a sum of gradients, over `bound`
    bound             C, norm that the gradient of an example is clipped to
    sample            expected number of examples in a step
    steps, learning_rate, momentum   of SGD
    adjacency         for the accounting, see `accounting`
    chunk             examples whose gradients are in memory at once
    """

    noise_multiplier: float
    bound: float = 1.0
    sample: int = 512
    steps: int = 1000
    learning_rate: float = 0.5
    momentum: float = 0.9
    adjacency: str = "add_remove"
    chunk: int = 64

    def __post_init__(self) -> None:
        """Refuse values no training can have."""
        Mechanism(self.noise_multiplier, adjacency=self.adjacency)
        validate.whole("sample", self.sample, 1)
        validate.whole("steps", self.steps, 1)
        validate.whole("chunk", self.chunk, 1)
        validate.positive("bound", self.bound)
        validate.positive("learning_rate", self.learning_rate)
        validate.fraction("momentum", self.momentum)

    @entrance
    def mechanism(self, count: int) -> Mechanism:
        """Return what training on `count` examples releases; ValueError for fewer than `sample`."""
        if self.sample > count:
            raise ValueError(f"sample {self.sample!r}: allowed are 1 to {count}, the number of examples")
        return Mechanism(self.noise_multiplier, self.steps, self.sample / count, self.adjacency)


def gradients(
    network: Network, parameters: networks.Weights, images: torch.Tensor, labels: torch.Tensor
) -> networks.Weights:
    """Return each example's gradient of its cross-entropy: name -> N x shape of that parameter.

    Those of an example with any value that is not finite are 0.
    """
    if len(images) == 0:
        return {name: value.new_zeros((0, *value.shape)) for name, value in parameters.items()}

    def loss(parameters: networks.Weights, image: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        return cross_entropy(network.logits(parameters, image[None]), label[None])

    each = torch.func.vmap(torch.func.grad(loss), (None, 0, 0))(parameters, images, labels)
    finite = torch.stack([value.isfinite().flatten(1).all(1) for value in each.values()]).all(0)
    return {
        name: torch.where(finite.view(-1, *[1] * (value.dim() - 1)), value, 0.0)
        for name, value in each.items()
    }


@entrance(shapes="images N C S S, labels N")
def train(
    network: Network,
    images: torch.Tensor,
    labels: torch.Tensor,
    parameters: DPSGD,
    seed: int | None = None,
    *index: int | str,
    noise: str = "members",
) -> networks.Weights:
    """Train one network from a random initialisation; return its parameters, without gradients.

    images  float32 or float64, N x C x H x W, scaled by public constants
    labels  int64, N
    seed, index   name the run: initialisation, samples and noise each draw from a generator of their own;
            seed None for a fresh secret one, drawn by the operating system
    noise   "members": samples and noise come from the seed and a digest of images, labels, settings and
            network, so that one seed gives other data other noise; or "seed": from the seed alone, for
            experiments that others make again

    `parameters.mechanism(N)` is what it released, all steps together. ValueError for shapes, dtypes or labels
    that do not fit, and for fewer examples than `sample`; DivergenceError when a parameter is not finite.
    """
    if not hasattr(network, "logits"):
        raise ValueError(f"network {network!r}: allowed are networks of nets.networks")
    rate = parameters.mechanism(len(images)).rate
    _check(network, images, labels)
    seed = secrets.randbits(62) if seed is None else seed
    check_secret(noise, seed)
    try:
        from opacus.optimizers import DPOptimizer
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"DP-SGD needs the package {error.name}: pip install '.[private]' in a checkout"
        ) from error
    device = images.device
    labels = labels.to(device)
    secret = (digest(images, labels), repr(parameters), repr(network)) if noise == "members" else ()
    initial = network.initial(generator(seed, "dp_sgd initial", *index), images.dtype)
    values = {name: Parameter(value.to(device)) for name, value in initial.items()}
    optimiser = DPOptimizer(
        torch.optim.SGD(values.values(), lr=parameters.learning_rate, momentum=parameters.momentum),
        noise_multiplier=parameters.noise_multiplier / BOUND_SHARE,
        max_grad_norm=parameters.bound * BOUND_SHARE,
        expected_batch_size=parameters.sample,
        loss_reduction="mean",
        generator=generator(seed, "dp_sgd noise", *secret, *index, device=device),
    )
    samples = generator(seed, "dp_sgd sample", *secret, *index)
    everyone = torch.arange(len(images), device=device)
    with steady_threads(device):
        for step in range(parameters.steps):
            chunks = poisson_sample(everyone, rate, samples).split(parameters.chunk)
            for number, rows in enumerate(chunks, 1):
                detached = {name: value.detach() for name, value in values.items()}
                each = gradients(network, detached, images[rows], labels[rows])
                optimiser.zero_grad()
                for name, value in values.items():
                    value.grad_sample = each[name]
                optimiser.signal_skip_step(do_skip=number < len(chunks))
                optimiser.step()
            if not all(bool(value.isfinite().all()) for value in values.values()):
                raise DivergenceError(
                    f"dp_sgd: step {step}: a parameter is not finite; lower the learning rate "
                    f"(now {parameters.learning_rate})"
                )
    return {name: value.detach() for name, value in values.items()}


def _check(network: Network, images: torch.Tensor, labels: torch.Tensor) -> None:
    shape = (network.channels, network.size, network.size)
    if images.dtype not in (torch.float32, torch.float64) or images.shape[1:] != shape:
        raise ValueError(
            f"images {images.dtype} {tuple(images.shape)}: allowed are float32 or float64, "
            f"N x {' x '.join(map(str, shape))}"
        )
    if int(labels.max()) >= network.classes:
        raise ValueError(
            f"labels from {int(labels.min())} to {int(labels.max())}: allowed are 0 to {network.classes - 1}"
        )
