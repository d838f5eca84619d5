"""What a kink in the activation does to the stability of distribution matching.

The theorem of `theory.stability` asks for a gradient that is Lipschitz in the synthetic images. A unit
max(u, 0) passes its weight on or does not; when the images move by delta, a share of all units that is
proportional to delta changes sides, and each changes the gradient by a finite amount. There are many of
them, of random signs, so their sum grows as the square root of their number:

    || G(S) - G(S + delta u) ||  ~  C sqrt(delta)    for delta above the distance to the nearest kink,

a Hölder condition with exponent 1/2 in place of the Lipschitz condition. A distance e between two runs
becomes about e + eta C sqrt(e) in one step. What began as c / n is then of the order n^(-1/2) after one more
step, n^(-1/4) after two, and of the order (eta C)^2 after a few, whatever n was. It does not rest there: e
grows on, towards (eta C t / 2)^2 after t steps, but hardly depends on n any more. The average over R
independent extractors divides the sum of the kinks by sqrt(R): in expectation over extractors it is gone.

Below the distance to the nearest kink, in any image and step, all is smooth again. A displacement that small
keeps its size, whether it comes from a removed image (n must be very large) or from rounding.
"""

from functools import partial

import torch

from privacy_for_free.core import validate
from privacy_for_free.core.entrance import entrance
from privacy_for_free.core.randomness import generator
from privacy_for_free.nets.networks import Network
from privacy_for_free.theory import checks, stability


@entrance(shapes="real n C H W, start m C H W")
def distances(
    network: Network,
    real: torch.Tensor,
    start: torch.Tensor,
    deltas: tuple[float, ...],
    steps: int,
    step_size: float,
    seed: int,
) -> torch.Tensor:
    """Run distribution matching from a start and from starts that are `deltas` away; return the distances.

    network   anything with `initial` and `features`; a fresh one in every step, the same for all runs
    real      n x C x H x W, all of them in every step; start m x C x H x W; float64 both
    deltas    Frobenius norms of one random direction's multiples
    returns   float64, len(deltas) x (steps + 1): Frobenius norms, the first column `deltas`

    ValueError for images that are not float64, and for a displacement that is not above 0.
    """
    if real.dtype != torch.float64 or start.dtype != torch.float64:
        raise ValueError(f"real and start of {real.dtype} and {start.dtype}: allowed are float64")
    if not all(delta > 0 for delta in deltas):
        raise ValueError(f"deltas {deltas}: allowed are numbers above 0")
    if not deltas:
        raise ValueError(f"deltas {deltas}: allowed are one or more")
    checks.counts(0, steps=steps)
    validate.not_negative("step_size", step_size)
    checks.memory(f"{len(deltas)} deltas, start {tuple(start.shape)}", (1 + len(deltas)) * start.numel())
    direction = torch.randn(start.shape, generator=generator(seed, "kinks direction"), dtype=torch.float64)
    direction = (direction / direction.norm()).to(start.device)
    runs = torch.stack([start, *(start + delta * direction for delta in deltas)])
    found = [(runs[1:] - runs[0]).flatten(1).norm(dim=1)]
    for step in range(steps):
        stream = generator(seed, "kinks extractor", step, device=start.device)
        features = partial(network.features, network.initial(stream, torch.float64, classifier=False))
        with torch.no_grad():
            target = features(real).mean(0)
        runs = torch.stack([run - step_size * stability.gradient(features, target, run) for run in runs])
        found.append((runs[1:] - runs[0]).flatten(1).norm(dim=1))
    return torch.stack(found, 1)
