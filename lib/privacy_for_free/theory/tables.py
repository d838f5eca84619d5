"""The book's closed formulas as tables: the bounds and the leak for given n, m, d_eff and eps0.

    influence   how much one image moves the network: chapter "From synthetic data to parameters"
    movement    how far it moves what distribution matching aims at: chapter "Non-linear extractors"
    tracing     what the released class mean gives away: chapter "What the barycentre gives away"
    caps        what no attack on the network, on a random subset, or on a private release can exceed

n is the number of real images of a class, m of synthetic ones, d_eff the effective dimension of the images
(the average squared distance from the mean in the metric of the inverse covariance), eps0 the bound at m = n.
Arguments are numbers or sequences of numbers; a table has one row for each combination of them and of what it
compares. A wrong value is a ValueError that names it and says what is allowed.
"""

import inspect
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence

import pandas as pd

from privacy_for_free.core import validate
from privacy_for_free.core.entrance import entrance
from privacy_for_free.theory import gibbs
from privacy_for_free.theory import tracing as theory

FPR = 0.001
DELTA = 1e-5
EPSILONS = (1.0, 2.0, 4.0, 8.0)
MOST_ROWS = 100_000  # combinations of a table's values, some ten seconds

# What the entrances do, without their conversions: the numbers of a combination are plain already.
ALL_DATA_EPSILON, SUBSET_EPSILON = map(inspect.unwrap, (gibbs.all_data_epsilon, gibbs.subset_epsilon))
EFFECT_SIZE, EFFECT_SIZE_POOL = map(inspect.unwrap, (theory.effect_size, theory.effect_size_pool))
TPR, AUC = map(inspect.unwrap, (theory.tpr, theory.auc))
CAP_PRIVATE, CAP_RANDOM_SUBSET = map(inspect.unwrap, (theory.cap_private, theory.cap_random_subset))


@entrance
def check(n: int, m: int, d_eff: float, eps0: float) -> None:
    """Raise ValueError, naming the value, unless all four are allowed.

    >>> check(5000, 50, 784, 1.0)
    >>> check(0, 50, 784, 1.0)
    Traceback (most recent call last):
    ValueError: n 0: allowed are whole numbers from 1 up
    """
    _check(n, m, d_eff, eps0)


@entrance
def influence(
    n: int | Sequence[int], m: int | Sequence[int], eps0: float | Sequence[float] = 1.0
) -> pd.DataFrame:
    """Return the replace-one epsilon of one network, drawn from a Gibbs posterior, for three ways to train.

    Columns n, m, eps0, ratio (r = m/n), trained_on, epsilon: r eps0 for m condensed images and for all n at
    the temperature tau/r, ln(1 + r (e^eps0 - 1)) for a random real subset of m.

    >>> [f"{epsilon:.4f}" for epsilon in influence(5000, 50).epsilon]
    ['0.0100', '0.0100', '0.0170']
    """
    return _table(_influence, n=n, m=m, eps0=eps0)


@entrance
def movement(n: int | Sequence[int], kappa: float | Sequence[float] = 1.0) -> pd.DataFrame:
    """Return 2 kappa / n, how far one of n images moves the mean embedding at most.

    kappa   square root of the largest K(x, x); left out, the movement is in units of it

    Columns n, kappa, movement.

    >>> movement(5000).movement.item()
    0.0004
    """
    return _table(_movement, n=n, kappa=kappa)


@entrance
def tracing(
    n: int | Sequence[int], d_eff: float | Sequence[float], fpr: float | Sequence[float] = FPR
) -> pd.DataFrame:
    """Return what the best linear statistic reads off the exact mean of n images; m does not enter.

    Columns n, d_eff, fpr, members, effect, tpr, auc. `members` says what the attacker knows:

        fresh       the distribution; the members are independent draws from it. Effect sqrt(d_eff / n)
        pool        2 n images, a random half of them the members; to leading order. sqrt(2 d_eff / n)
        pool exact  the same, exact: 2 sqrt(h / (1 - h)), h = d_eff / (2 n - 1). In the pool's own covariance
                    d_eff is 2 n - 1 at most; from there on every member is read off exactly, effect infinite

    All images have the same distance from the mean here, sqrt(d_eff), and each its own threshold. It is a
    lower bound: `attacks.identification` reads off every member from d a little above n.

    >>> found = tracing([3000, 2500], [784, 3072]).query("members == 'fresh'").set_index(["n", "d_eff"])
    >>> [f"{100 * found.tpr[key]:.1f} %" for key in ((3000, 784), (2500, 3072))]
    ['0.5 %', '2.4 %']
    """
    return _table(_tracing, n=n, d_eff=d_eff, fpr=fpr)


@entrance
def caps(
    n: int | Sequence[int],
    m: int | Sequence[int],
    eps0: float | Sequence[float] = 1.0,
    fpr: float | Sequence[float] = FPR,
    epsilons: Sequence[float] = EPSILONS,
    delta: float = DELTA,
) -> pd.DataFrame:
    """Return the TPR that no attack can exceed, for the network, a random subset, and private releases.

    Columns n, m, eps0, fpr, release, cap. `release` is the network (one draw from the Gibbs posterior on m
    condensed images: e^(r eps0) FPR), the random subset (r + (1 - r) FPR), or one that is (epsilon, delta)-
    private for an epsilon of `epsilons` (e^epsilon FPR + delta).

    >>> found = caps(5000, 50).set_index("release").cap
    >>> [f"{100 * cap:.3f} %" for cap in found]
    ['0.101 %', '1.099 %', '0.273 %', '0.740 %', '5.461 %', '100.000 %']
    """
    epsilons = _listed(epsilons)
    return _table(
        lambda n, m, eps0, fpr: _caps(n, m, eps0, fpr, epsilons, delta), n=n, m=m, eps0=eps0, fpr=fpr
    )


def _check(n: int, m: int, d_eff: float, eps0: float) -> None:
    validate.whole("n", n, 1)
    validate.whole("m", m, 1)
    if m > n:
        raise ValueError(f"m {m!r}: allowed are whole numbers from 1 to n, here {n}")
    validate.positive("d_eff", d_eff)
    if not 0 <= eps0 <= gibbs.LARGEST_EPSILON:
        raise ValueError(f"eps0 {eps0!r}: allowed are numbers from 0 to {gibbs.LARGEST_EPSILON:g}")


def _influence(n: int, m: int, eps0: float) -> Iterator[dict]:
    _check(n, m, 1.0, eps0)
    r = m / n
    condensed = ALL_DATA_EPSILON(r, eps0) if eps0 else 0.0
    subset = SUBSET_EPSILON(r, eps0) if eps0 else 0.0
    for trained_on, epsilon in (
        ("m condensed images", condensed),
        ("all n, temperature tau/r", condensed),
        ("a random m of them", subset),
    ):
        yield {"ratio": r, "trained_on": trained_on, "epsilon": epsilon}


def _movement(n: int, kappa: float) -> Iterator[dict]:
    validate.whole("n", n, 1)
    validate.positive("kappa", kappa)
    yield {"movement": 2 * kappa / n}


def _tracing(n: int, d_eff: float, fpr: float) -> Iterator[dict]:
    _check(n, 1, d_eff, 0.0)
    independent = 2 * n - 1  # the most that a pool's own covariance allows
    exact = math.inf if d_eff >= independent or n == 1 else float(EFFECT_SIZE_POOL(d_eff, n))
    for members, effect in (
        ("fresh", float(EFFECT_SIZE(d_eff, n))),
        ("pool", math.sqrt(2 * d_eff / n)),
        ("pool exact", exact),
    ):
        rates = {"tpr": float(TPR(fpr, effect)), "auc": AUC(effect)}
        yield {"members": members, "effect": effect} | rates


def _caps(n: int, m: int, eps0: float, fpr: float, epsilons: Sequence[float], delta: float) -> Iterator[dict]:
    _check(n, m, 1.0, eps0)
    r = m / n
    yield {"release": "the network", "cap": float(CAP_PRIVATE(fpr, r * eps0, 0.0))}
    yield {"release": "random subset", "cap": float(CAP_RANDOM_SUBSET(fpr, r))}
    for epsilon in epsilons:
        cap = float(CAP_PRIVATE(fpr, epsilon, delta))
        yield {"release": f"({epsilon:g}, {delta:g})-private", "cap": cap}


def _table(rows, **values: object) -> pd.DataFrame:
    """Call `rows` with each combination of the values, and put them in front of what it yields."""
    choices = [_listed(value) for value in values.values()]
    for name, choice in zip(values, choices, strict=True):
        if not len(choice):
            raise ValueError(f"{name} of length 0: allowed are a number, and one number or more")
    if (count := math.prod(map(len, choices))) > MOST_ROWS:
        raise ValueError(f"{', '.join(values)}: {count} combinations, allowed are {MOST_ROWS} at most")
    table = []
    for combination in itertools.product(*choices):
        arguments = dict(zip(values, combination, strict=True))
        table += [arguments | row for row in rows(**arguments)]
    return pd.DataFrame(table)


def _listed(value: object) -> Sequence:
    """Return the numbers that one argument holds, as Python's own."""
    if hasattr(value, "tolist"):  # arrays, tensors and columns of a table
        value = value.tolist()
    return value if isinstance(value, Sequence) else list(value) if isinstance(value, Iterable) else (value,)
