"""Train networks on small sets by a `Schedule`, and measure their accuracy.

A batch passes the network in chunks whose gradients add up. Instance norm looks at one image at a time, so
this is the gradient of the batch. Chunks are small on a CPU because activations beyond the caches go to fresh
pages of memory, and page faults then cost more than the convolutions.
"""

from collections.abc import Callable, Sequence
from functools import cache

import torch
from torch.nn.functional import cross_entropy

from privacy_for_free.core import devices, validate
from privacy_for_free.core.compiling import available, compiled
from privacy_for_free.core.entrance import TARGETS, entrance
from privacy_for_free.core.errors import DivergenceError
from privacy_for_free.core.randomness import generator
from privacy_for_free.nets import augmentation, networks, weights
from privacy_for_free.nets.networks import Network, Weights, check_labels
from privacy_for_free.nets.schedule import Schedule

MEBIBYTE = 2**20
ACTIVATIONS = {"cpu": 32 * MEBIBYTE, "cuda": 8192 * MEBIBYTE}  # what a chunk's activations may take


@entrance(labels=TARGETS, shapes="images M C H W, labels M [classes]")
def train(
    network: Network,
    images: torch.Tensor,
    labels: torch.Tensor,
    schedule: Schedule,
    seed: int,
    *index: int | str,
) -> Weights:
    """Train one network from a random initialisation; return its parameters, without gradients.

    images  float32 or float64, M x C x H x W; the parameters get their dtype and device
    labels  int64, M: cross-entropy; or of the images' dtype, M x classes: mean squared error of the logits,
            over images and classes
    seed, index   name the run: initialisation, order and augmentation each draw from a generator of their own

    ValueError for shapes, dtypes or labels that do not fit; DivergenceError when a loss is not finite, which
    is looked for at the end of an epoch.
    """
    _check(network, images, labels)
    validate.whole("seed", seed)
    return _fit(network, images[None], labels[None], schedule, seed, [index], stacked=False)


@entrance(labels=TARGETS, shapes="images K M C H W, labels K M [classes]")
def train_many(
    network: Network,
    images: torch.Tensor,
    labels: torch.Tensor,
    schedule: Schedule,
    seed: int,
    names: Sequence[int | str] | None = None,
    stacked: bool | None = None,
) -> Weights:
    """Train K networks, each on a set of its own; return their parameters stacked, K first.

    images  K x M x C x H x W
    labels  K x M or K x M x classes, as for `train`
    names   K: network k is `train(network, images[k], labels[k], schedule, seed, names[k])`, whichever others
            share the run: bitwise where they are trained in turn, up to rounding where they are stacked
    stacked   whether torch.func.vmap stacks them, in groups that share the memory a chunk may take; None: on
            a GPU

    Errors are those of `train`, for any of the networks; ValueError too for names that are not K different
    ones.
    """
    validate.whole("seed", seed)
    names = list(range(len(images)) if names is None else names)
    if len(names) != len(images) or len(set(names)) != len(names):
        raise ValueError(f"names {names}: allowed are {len(images)} different ones, one per network")
    for one, its in zip(images, labels, strict=True):
        _check(network, one, its)
    stacked = images.device.type == "cuda" if stacked is None else stacked
    group = max(1, _chunk(network, images) // min(schedule.batch, images.shape[1])) if stacked else 1
    parts = []
    for start in range(0, len(names), group):
        rows = slice(start, start + group)
        indices = [(name,) for name in names[rows]]
        part = _fit(network, images[rows], labels[rows], schedule, seed, indices, stacked)
        parts.append(part if stacked else {name: value[None] for name, value in part.items()})
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


@entrance
def select(parameters: Weights, k: int) -> Weights:
    """Return network k of stacked parameters; ValueError for one that is not among them."""
    counts = {name: len(value) if value.dim() else 0 for name, value in parameters.items()}
    if len(set(counts.values())) != 1 or not all(counts.values()):
        raise ValueError(f"parameters of {counts} networks: allowed are those of stacked networks, K first")
    validate.whole("k", k, 0, min(counts.values()) - 1)
    return {name: value[k] for name, value in parameters.items()}


@entrance(shapes="images N C H W")
def logits(
    network: Network, parameters: Weights, images: torch.Tensor, compile: bool = False
) -> torch.Tensor:
    """Return the class scores (N, classes) of images (N, C, H, W), without gradients, in chunks."""
    return _apply(network, "logits", parameters, images, compile)


@entrance(shapes="images N C H W")
def features(
    network: Network, parameters: Weights, images: torch.Tensor, compile: bool = False
) -> torch.Tensor:
    """Return the features (N, feature_dim) of images (N, C, H, W), without gradients, in chunks."""
    return _apply(network, "features", parameters, images, compile)


@entrance(shapes="images N C H W, labels N")
def accuracy(
    network: Network,
    parameters: Weights,
    images: torch.Tensor,
    labels: torch.Tensor,
    compile: bool = False,
) -> float:
    """Return the share, 0 to 1, of images (N, C, H, W) whose highest score is that of their label (int64, N).

    ValueError where there is no image, or not one label for each.
    """
    check_labels(labels, network.classes)
    return (logits(network, parameters, images, compile).argmax(1) == labels).double().mean().item()


def _fit(
    network: Network,
    images: torch.Tensor,
    labels: torch.Tensor,
    schedule: Schedule,
    seed: int,
    indices: Sequence[tuple[int | str, ...]],
    stacked: bool,
) -> Weights:
    """Train the networks of K sets together where stacked, else the one of the only set; by one thread."""
    with devices.steady_threads(images.device):
        return _trained(network, images, labels, schedule, seed, indices, stacked)


def _trained(
    network: Network,
    images: torch.Tensor,
    labels: torch.Tensor,
    schedule: Schedule,
    seed: int,
    indices: Sequence[tuple[int | str, ...]],
    stacked: bool,
) -> Weights:
    device, dtype, M = images.device, images.dtype, images.shape[1]
    initial = [network.initial(generator(seed, "training initial", *index), dtype) for index in indices]
    parameters = {
        name: torch.stack([one[name] for one in initial]) if stacked else value
        for name, value in initial[0].items()
    }
    layout = _layout(schedule.compile)
    parameters = {
        name: _arranged(value.to(device), layout).requires_grad_(True) for name, value in parameters.items()
    }
    loss = _loss(network, schedule.compile, stacked)
    shuffles = [generator(seed, "training order", *index) for index in indices]
    transforms = [generator(seed, "training augmentation", *index, device=device) for index in indices]
    dim = int(stacked)
    batch = min(schedule.batch, M)
    chunks = -(-batch * len(images) // max(len(images), _chunk(network, images)))
    chunk = -(-batch // chunks)

    def draw(orders: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        drawn = [one[order] for one, order in zip(images, orders, strict=True)]
        if schedule.augmentation:
            for k, stream in enumerate(transforms):
                transform = augmentation.draw(schedule.augmentation, len(drawn[k]), stream)
                drawn[k] = augmentation.apply(transform, drawn[k])
        answers = [one[order] for one, order in zip(labels, orders, strict=True)]
        return (torch.stack(drawn), torch.stack(answers)) if stacked else (drawn[0], answers[0])

    optimiser = None
    for epoch in range(schedule.epochs):
        if optimiser is None or schedule.rate(epoch) != schedule.rate(epoch - 1):
            optimiser = torch.optim.SGD(
                parameters.values(),
                lr=schedule.rate(epoch),
                momentum=schedule.momentum,
                weight_decay=schedule.weight_decay,
            )
        orders = torch.stack([torch.randperm(M, generator=stream) for stream in shuffles]).to(device)
        losses = []
        for rows in orders.split(schedule.batch, 1):
            drawn, answers = draw(rows)
            shares = drawn.new_full((rows.shape[1],), 1 / rows.shape[1])
            total = torch.zeros(len(images), dtype=dtype, device=device)
            optimiser.zero_grad()
            for x, y, w in zip(
                _split(drawn, chunk, dim), _split(answers, chunk, dim), _split(shares, chunk, 0), strict=True
            ):
                if not stacked:
                    x = x.contiguous(memory_format=layout)
                value = loss(parameters, x, y, w)
                value.sum().backward()
                total += value.detach()
            optimiser.step()
            losses.append(total)
        _check_finite(torch.stack(losses), epoch, indices, schedule)
    return {name: value.detach() for name, value in parameters.items()}


@cache
def _loss(network: Network, compile: bool, stacked: bool) -> Callable[..., torch.Tensor]:
    """Return the weighted sum of the images' losses, made once per network so that it is compiled once."""

    def loss(
        parameters: Weights, images: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor
    ) -> torch.Tensor:
        scores = network.logits(parameters, images)
        if labels.dtype == torch.int64:
            each = cross_entropy(scores, labels, reduction="none")
        else:
            each = (scores - labels).square().mean(1)
        return (each * weights).sum()

    return compiled(torch.func.vmap(loss, (0, 0, 0, None)) if stacked else loss, compile)


@cache
def _function(network: Network, name: str, compile: bool) -> Callable[..., torch.Tensor]:
    return compiled(getattr(network, name), compile)


@torch.no_grad()
def _apply(
    network: Network, name: str, parameters: Weights, images: torch.Tensor, compile: bool
) -> torch.Tensor:
    _check_images(network, images)
    weights.check(network, parameters, images.dtype, of=name)
    function = _function(network, name, compile)
    parts = _split(images, min(_chunk(network, images), len(images)), 0)
    layout = _layout(compile)
    parameters = {key: _arranged(value, layout) for key, value in parameters.items()}
    with networks.steady_threads(network, images.dtype, images.device):
        values = [function(parameters, part.contiguous(memory_format=layout)) for part in parts]
    return torch.cat(values)[: len(images)]


def _chunk(network: Network, images: torch.Tensor) -> int:
    """Return how many images' activations a chunk may hold."""
    return max(1, ACTIVATIONS[images.device.type] // network.activation_bytes(images.dtype))


def _layout(compile: bool) -> torch.memory_format:
    """Return the layout of images and filters that is the faster one on a CPU (benchmarks/training.py)."""
    return torch.channels_last if compile and available() else torch.contiguous_format


def _arranged(value: torch.Tensor, layout: torch.memory_format) -> torch.Tensor:
    return value.contiguous(memory_format=layout) if value.dim() == 4 else value


def _split(values: torch.Tensor, size: int, dim: int) -> tuple[torch.Tensor, ...]:
    """Split into parts of one size, the last filled up with zeros: one shape is compiled once."""
    short = -values.shape[dim] % size
    if short:
        shape = (*values.shape[:dim], short, *values.shape[dim + 1 :])
        values = torch.cat([values, values.new_zeros(shape)], dim)
    return values.split(size, dim)


def _check_images(network: Network, images: torch.Tensor) -> None:
    if not hasattr(network, "logits"):
        raise ValueError(f"network {network!r}: allowed are networks of nets.networks")
    shape = (network.channels, network.size, network.size)
    if images.dtype not in (torch.float32, torch.float64) or images.shape[1:] != shape:
        raise ValueError(
            f"images {images.dtype} {tuple(images.shape)}: allowed are float32 or float64, "
            f"M x {' x '.join(map(str, shape))}"
        )


def _check(network: Network, images: torch.Tensor, labels: torch.Tensor) -> None:
    _check_images(network, images)
    count = len(images)
    hard = labels.dtype == torch.int64 and labels.shape == (count,)
    soft = labels.dtype == images.dtype and labels.shape == (count, network.classes)
    if not hard and not soft:
        raise ValueError(
            f"labels {labels.dtype} {tuple(labels.shape)}: allowed are int64, {count}, or {images.dtype}, "
            f"{count} x {network.classes}"
        )
    if hard:
        check_labels(labels, network.classes)


def _check_finite(
    losses: torch.Tensor, epoch: int, indices: Sequence[tuple[int | str, ...]], schedule: Schedule
) -> None:
    """Raise DivergenceError for the first of an epoch's losses (steps x K) that is not finite."""
    bad = (~torch.isfinite(losses)).nonzero()
    if len(bad):
        step, k = bad[0].tolist()
        raise DivergenceError(
            f"training: epoch {epoch}, step {epoch * len(losses) + step}: the loss of network {indices[k]} "
            f"is {float(losses[step, k])}; lower the learning rate (now {schedule.learning_rate}), or look "
            "for values in images and labels that are not finite"
        )
