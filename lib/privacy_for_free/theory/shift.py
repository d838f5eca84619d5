"""How far a condensed set, and networks trained on it, move when one real image goes: what is measured.

The two sets are S, condensed from T, and S', condensed from T without x, with common random numbers. Theorems
about the same quantities, with their proofs, are in `theory.stability`, what kinks do to them in
`theory.kinks`.

    shift                    the distance of S and S' themselves
    gradient_changes         whether the gradient of the loss is Lipschitz in S, which the theorem assumes
    smooth_shift             the shift of a smooth extractor after a number of steps, with its bounds
    minimum_shift            the same between minimisers
    margins, output_change   the answers of networks trained on either set
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import torch

from privacy_for_free.core import validate
from privacy_for_free.core.entrance import entrance
from privacy_for_free.nets import training
from privacy_for_free.nets.networks import Network, Weights
from privacy_for_free.nets.schedule import Schedule
from privacy_for_free.nets.weights import plain_weights
from privacy_for_free.theory import checks, stability


class Shift(NamedTuple):
    """Distances of two sets of m images, in the images' own units.

    total      Frobenius norm of the difference
    mean       mean norm over the m images
    largest    largest norm over the m images
    moved      mean norm of how far the first set's images came from their start
    """

    total: float
    mean: float
    largest: float
    moved: float


@entrance
def shift(whole: torch.Tensor, without: torch.Tensor, start: torch.Tensor) -> Shift:
    """Return how far two sets are apart, and the first from its start: m x ... each, summed in float64."""
    if not whole.numel() or whole.dim() < 2:
        raise ValueError(f"whole {tuple(whole.shape)}: allowed are one image or more, m x ...")
    for name, other in (("without", without), ("start", start)):
        if other.shape != whole.shape:
            raise ValueError(f"{name} {tuple(other.shape)}: allowed is {tuple(whole.shape)}, as of whole")
    gap = (whole.double() - without.double()).flatten(1).norm(dim=1)
    moved = (whole.double() - start.double()).flatten(1).norm(dim=1)
    return Shift(float(gap.norm()), float(gap.mean()), float(gap.max()), float(moved.mean()))


# --- is the gradient Lipschitz? -----------------------------------------------------------------------------


class GradientChange(NamedTuple):
    """Norms of the mean gradient over so many networks, and of its change when S moves by delta."""

    networks: int
    delta: float
    gradient: float
    change: float


@entrance(shapes="real n C H W, synthetic m C H W, direction m C H W")
def gradient_changes(
    network: Network,
    extractors: Iterable[Weights],
    real: torch.Tensor,
    synthetic: torch.Tensor,
    direction: torch.Tensor,
    deltas: Sequence[float],
    counts: Sequence[int],
) -> Iterator[GradientChange]:
    """Yield how the gradient of the matching loss changes with S, for each number of networks and each delta.

    extractors   weights, as many as the largest of `counts`: the loss is averaged over the first of them
    real         n x C x H x W; synthetic m x C x H x W; float64 both
    direction    of the displacement, in the shape of `synthetic`, of norm 1
    counts       numbers of networks, ascending
    """
    checks.floats(real=real, synthetic=synthetic, direction=direction)
    for delta in deltas:
        checks.positive(deltas=delta)
    for count in counts:
        checks.counts(counts=count)
    return _gradient_changes(network, extractors, real, synthetic, direction, deltas, counts)


def _as_drawn(weight: torch.Tensor) -> torch.Tensor:
    """Return a weight laid out as networks draw it: on its layout depend the last bits of a convolution."""
    return weight.contiguous(memory_format=torch.channels_last) if weight.dim() == 4 else weight


def _gradient_changes(
    network: Network,
    extractors: Iterable[Weights],
    real: torch.Tensor,
    synthetic: torch.Tensor,
    direction: torch.Tensor,
    deltas: Sequence[float],
    counts: Sequence[int],
) -> Iterator[GradientChange]:
    total = synthetic.new_zeros((1 + len(deltas), *synthetic.shape))
    for used, given in enumerate(extractors, 1):
        made = plain_weights(network, given, real.dtype, f"extractors[{used - 1}]")
        theta = {key: _as_drawn(value) for key, value in made.items()}
        features = partial(network.features, theta)
        with torch.no_grad():
            target = features(real).mean(0)
        for place, delta in enumerate((0.0, *deltas)):
            total[place] += stability.gradient(features, target, synthetic + delta * direction)
        if used in counts:
            mean = total / used
            for place, delta in enumerate(deltas, 1):
                yield GradientChange(
                    used, delta, float(mean[0].norm()), float((mean[place] - mean[0]).norm())
                )


# --- a smooth extractor, whose constants are known ----------------------------------------------------------


class SmoothShift(NamedTuple):
    """The two sets (2 x m x d) after some steps, the bounds of the theorem, and the measured constants."""

    steps: int
    sets: torch.Tensor
    bound: float
    bound_proved: float
    c: float
    Lambda: float


@entrance(shapes="real n d, start m d")
def smooth_shift(
    extractor: stability.SmoothExtractor,
    real: torch.Tensor,
    index: int,
    start: torch.Tensor,
    stops: Sequence[int],
    step_size: float,
) -> Iterator[SmoothShift]:
    """Yield both sets and the bounds on their distance after each number of steps.

    real    n x d; image `index` of them goes; start m x d; float64 both
    """
    if not len(stops):
        raise ValueError("stops of length 0: allowed are one or more")
    for stop in stops:
        checks.counts(0, stops=stop)
    validate.not_negative("step_size", step_size)
    checks.floats(real=real, start=start)
    checks.place(index, len(real))
    return _smooth_shift(extractor, real, index, start, stops, step_size)


def _smooth_shift(
    extractor: stability.SmoothExtractor,
    real: torch.Tensor,
    index: int,
    start: torch.Tensor,
    stops: Sequence[int],
    step_size: float,
) -> Iterator[SmoothShift]:
    _, path, other = stability.shift_path(extractor, real, index, start, max(stops), step_size)
    proved = extractor.proved_constants(len(start))
    measured = stability.measured_constants(extractor, real, index, path, other)
    for stop in stops:
        bounds = (
            stability.stability_bound(constants.c, len(real), constants.Lambda, step_size, stop)
            for constants in (measured, proved)
        )
        yield SmoothShift(stop, torch.stack([path[stop], other[stop]]), *bounds, measured.c, measured.Lambda)


class MinimumShift(NamedTuple):
    """Two minimisers (2 x m x d), the bound c / (mu n) and the first order of their distance, mu and c."""

    sets: torch.Tensor
    bound: float
    predicted: float
    mu: float
    c: float


@entrance(shapes="real n d, start m d")
def minimum_shift(
    extractor: stability.SmoothExtractor, real: torch.Tensor, index: int, start: torch.Tensor
) -> MinimumShift:
    """Find the minimisers with and without image `index` of real (n x d), from a start (m x d), float64.

    stability.DegenerateError where the search ends at a degenerate point, of which the theorem says nothing.
    """
    checks.floats(real=real, start=start)
    checks.place(index, len(real))
    mean, others = stability.targets(extractor, real, index)
    minimiser = stability.minimise(extractor, mean, start)
    neighbour = stability.minimise(extractor, others, minimiser.synthetic)
    change = stability.gradient(extractor, others, minimiser.synthetic)
    change = change - stability.gradient(extractor, mean, minimiser.synthetic)
    c = len(real) * float(change.norm())
    predicted = stability.predicted_shift(extractor, real, index, minimiser.synthetic)
    return MinimumShift(
        torch.stack([minimiser.synthetic, neighbour.synthetic]),
        c / (minimiser.mu * len(real)),
        float(predicted.norm()),
        minimiser.mu,
        c,
    )


# --- networks trained on the sets ---------------------------------------------------------------------------


@entrance(shapes="synthetic m C H W, against k C H W, tests N C H W")
def margins(
    network: Network,
    synthetic: torch.Tensor,
    against: torch.Tensor,
    tests: torch.Tensor,
    schedule: Schedule,
    seed: int,
    name: int,
) -> torch.Tensor:
    """Train a network to tell two sets apart; return the difference of its logits on test images, float64.

    synthetic, against   m x C x H x W each: the two classes; tests N x C x H x W
    name                 which start and order of batches: the same ones for the same seed and name
    """
    checks.floats(synthetic=synthetic, against=against, tests=tests)
    count = len(synthetic)
    labels = torch.tensor([0] * count + [1] * len(against), device=synthetic.device)
    trained = training.train(network, torch.cat([synthetic, against]), labels, schedule, seed, name)
    logits = training.logits(network, trained, tests, schedule.compile).double()
    return logits[:, 0] - logits[:, 1]


class OutputChange(NamedTuple):
    """How the answers (differences of two logits) of networks differ, over test images.

    change       root mean square difference of the two sets' networks
    reseeded     the same of two networks trained on the first set, with other starts and orders
    spread       standard deviation of the answers themselves
    probability  the largest difference of a probability
    """

    change: float
    reseeded: float
    spread: float
    probability: float


@entrance(shapes="whole N, without N, reseeded N")
def output_change(whole: torch.Tensor, without: torch.Tensor, reseeded: torch.Tensor) -> OutputChange:
    """Compare `margins` (N each) of S, of S', and of S with another start and order of training."""
    checks.floats(whole=whole, without=without, reseeded=reseeded)
    if len(whole) < 2:
        raise ValueError(f"whole {tuple(whole.shape)}: allowed are 2 answers or more")
    return OutputChange(
        float((whole - without).square().mean().sqrt()),
        float((whole - reseeded).square().mean().sqrt()),
        float(whole.std()),
        float((whole.sigmoid() - without.sigmoid()).abs().max()),
    )
