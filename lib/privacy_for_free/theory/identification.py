"""When a class mean names its members: how many equations, how exact, and what noise allows.

Pool: N images of one class in R^d, n of them members, b their indicator. The mean m of the members is the d
equations X^T b = n m, and n itself one more. Proofs are in chapter "What the barycentre gives away":

    least squares    one solution whatever b holds, if and only if the images are affinely independent, which
                     takes d >= N - 1
    linear program   one solution between 0 and 1, if and only if a hyperplane separates members from the
                     others (`failure` counts how often none does)
    any d >= 1       one solution of 0 and 1, with probability one, for images with a density

`failure` is exact where each image is a member by the toss of a fair coin, for any images in general position
(no d + 1 on a hyperplane). For a random n of N it depends on where the images are; on average over n it is
the same, so it is at most `worst` for any n.
"""

import math

import torch
from scipy import stats

from privacy_for_free.core import validate
from privacy_for_free.core.entrance import entrance
from privacy_for_free.stats.counting import MOST, inseparable

MOST_BITS = 52


@entrance
def failure(N: int, d: int) -> float:
    """Return the probability that the linear program leaves somebody open, members by fair coins.

    P(Bin(N - 1, 1/2) <= N - d - 2), for N images in general position in R^d (`stats.counting.inseparable`).

    >>> [f"{failure(100, d):.3f}" for d in (45, 50, 60)]
    ['0.789', '0.420', '0.013']
    """
    validate.whole("N", N, 2, MOST)
    validate.whole("d", d, 1, MOST)
    return inseparable(N, d)


@entrance
def worst(N: int, n: int, d: int) -> float:
    """Return the most that the same probability can be for a uniformly random n of the N images.

    `failure` over P(Bin(N, 1/2) = n), at most 1: coins draw that many with this probability.
    """
    validate.whole("N", N, 2, MOST)
    validate.whole("n", n, 1, N - 1)
    validate.whole("d", d, 1, MOST)
    logarithm = stats.binom.logcdf(N - d - 2, N - 1, 0.5) - stats.binom.logpmf(n, N, 0.5)
    return float(math.exp(min(0.0, logarithm)))


@entrance
def dimensions_needed(N: int, chance: float = 0.5) -> int:
    """Return the least d at which the linear program fails with at most this probability, coins as above.

    About N / 2, and as many standard deviations sqrt(N) / 2 more as the chance asks for.

    >>> dimensions_needed(1000), dimensions_needed(1000, 1e-6)
    (499, 574)
    """
    validate.whole("N", N, 2, MOST)
    if not 0 < chance < 1:
        raise ValueError(f"chance {chance!r}: allowed are numbers between 0 and 1")
    d = max(1, int(stats.binom.isf(chance, N - 1, 0.5)))
    while d > 1 and failure(N, d - 1) <= chance:
        d -= 1
    while failure(N, d) > chance:
        d += 1
    return d


@entrance
def largest_error(n: int, smallest: float, d: int, tolerance: float) -> float:
    """Return the most that a least-squares weight is off, with each number of the mean off by the tolerance.

    n sqrt(d) tolerance / smallest, the least singular value of the centred pool: below 1/2 all are named.
    """
    validate.whole("n", n, 1, MOST)
    validate.whole("d", d, 1, MOST)
    validate.positive("smallest", smallest)
    validate.not_negative("tolerance", tolerance)
    return n * math.sqrt(d) * tolerance / smallest


@entrance
def bits_needed(n: int, smallest: float, d: int, span: float = 2.0) -> int:
    """Return how many bits of a mean over a range `span` are sure to name everybody, by least squares.

    The step of q bits is span / (2^q - 1), the tolerance half of it. Rounding errors have no preferred
    direction, so fewer will do: this is what is proved. ValueError where more than 52 would be needed.

    >>> bits_needed(500, 0.5, 3072)
    17
    """
    validate.positive("span", span)
    for bits in range(1, MOST_BITS + 1):
        if largest_error(n, smallest, d, span / (2**bits - 1) / 2) < 0.5:
            return bits
    raise ValueError(f"smallest {smallest!r}: allowed are values for which {MOST_BITS} bits are enough")


@entrance
def rounded(
    mean: torch.Tensor, bits: int, low: float = -1.0, high: float = 1.0
) -> tuple[torch.Tensor, float]:
    """Return a mean rounded to the 2^bits evenly spaced numbers of a range, and the tolerance: half a step.

    float64, of the mean's shape; ValueError for numbers outside of the range.
    """
    validate.whole("bits", bits, 1, MOST_BITS)
    if not -1e100 < low < high < 1e100:
        raise ValueError(f"low {low!r} and high {high!r}: allowed are finite numbers, the first the smaller")
    if bool(((mean < low) | (mean > high)).any()):
        raise ValueError(f"mean from {mean.min():.3g} to {mean.max():.3g}: allowed are {low!r} to {high!r}")
    step = (high - low) / (2**bits - 1)
    return torch.round((mean.double() - low) / step) * step + low, step / 2


@entrance
def mean_sensitivity(n: int, bound: float) -> float:
    """Return how far the mean of n images of norm at most `bound` moves when one is replaced: 2 bound / n.

    Noise N(0, sd^2 I) makes the mean mu-GDP, mu this over sd: no attack has a TPR above Phi(Phi^-1(FPR) + mu)
    (`theory.tracing.tpr`; Dong, Roth and Su, Journal of the Royal Statistical Society B 84, 2022). That is
    concave in the FPR, so it holds for a threshold that all images share too.
    """
    validate.whole("n", n, 1, MOST)
    return 2 * validate.positive("bound", bound) / n
