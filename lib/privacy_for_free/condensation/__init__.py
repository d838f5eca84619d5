"""Dataset condensation behind one call, for any number of sets at once.

    condensed = condense(
        "dm", images, labels, membership, ipc=10, init="real", generator=generator(0, "shadows")
    )

gives K synthetic sets, one for each row of the membership matrix. The methods:

    dm             distribution matching (Zhao & Bilen, WACV 2023)
    dc, dsa        gradient matching (Zhao, Mopuri & Bilen, ICLR 2021), with siamese augmentation (Zhao &
                   Bilen, ICML 2021)
    kip            kernel inducing points (Nguyen, Chen & Lee, ICLR 2021)
    random_subset  real images of the set, drawn without replacement: the baseline in every table
    herding        real images chosen greedily so that their mean feature follows the class mean (Welling,
                   ICML 2009)
    full           all of the set's images
"""

from dataclasses import dataclass

import torch

from privacy_for_free.condensation import (
    distribution_matching,
    gradient_matching,
    kernel_inducing_points,
    selection,
)
from privacy_for_free.condensation.descent import Run
from privacy_for_free.condensation.problem import INITIALISATIONS, Condensed, check
from privacy_for_free.errors import CheckpointError, DivergenceError

__all__ = [
    "INITIALISATIONS",
    "METHODS",
    "CheckpointError",
    "Condensed",
    "DivergenceError",
    "Herding",
    "Run",
    "check_method",
    "condense",
    "default_parameters",
]

METHODS = ("dm", "dc", "dsa", "kip", "random_subset", "herding", "full")
_ITERATIVE = {
    "dm": distribution_matching,
    "dc": gradient_matching,
    "dsa": gradient_matching,
    "kip": kernel_inducing_points,
}


@dataclass(frozen=True)
class Herding:
    """Settings of herding: what the mean is taken of ("convnet" or "pixels"), and the ConvNet's width."""

    features: str = "convnet"
    width: int = 128
    compile: bool = False


def check_method(method: str) -> str:
    """Return the method's name; ValueError lists the known ones.

    >>> check_method("gan")
    Traceback (most recent call last):
    ValueError: method 'gan': known are dm, dc, dsa, kip, random_subset, herding, full
    """
    if method not in METHODS:
        raise ValueError(f"method {method!r}: known are {', '.join(METHODS)}")
    return method


def default_parameters(method: str) -> object | None:
    """Return a method's published settings, a frozen dataclass to change with dataclasses.replace.

    >>> default_parameters("dm").iterations
    20000
    """
    check_method(method)
    if method == "dc":
        return gradient_matching.Parameters(augmentation="")
    if method == "herding":
        return Herding()
    return _ITERATIVE[method].Parameters() if method in _ITERATIVE else None


def condense(
    method: str,
    images: torch.Tensor,
    labels: torch.Tensor,
    membership: torch.Tensor | None = None,
    *,
    ipc: int = 10,
    init: str = "real",
    parameters: object | None = None,
    generator: torch.Generator,
    classes: int | None = None,
    names: tuple[int, ...] | None = None,
    run: Run | None = None,
) -> Condensed:
    """Condense K sets of a pool of images with one method.

    images      N x C x H x W, float32 or float64 (KIP computes in float64 whatever they are)
    labels      int64, N
    membership  bool, K x N; None is one set that holds every image
    ipc         synthetic images a class; `full` takes as many as a class of a set has, and ignores it
    init        "real", "noise" or "noise_matched"; the selections know only "real"
    parameters  the method's settings, from `default_parameters`; None takes the published ones
    generator   one number is drawn from it, and everything random derived from that number
    classes     number of classes, where the labels do not show it
    names       different whole numbers, one a set: what its own draws are derived from; a set condensed alone
                under its name is the set of the whole run
    run         checkpoint, log, snapshots, progress: a `Run`

    Everything is computed on the device of `images`. Raises ValueError before any work when the input does
    not fit, DivergenceError when a loss stops being finite.
    """
    check_method(method)
    expected = default_parameters(method)
    parameters = expected if parameters is None else parameters
    if not isinstance(parameters, type(expected)):
        allowed = "none" if expected is None else f"{type(expected).__module__}.{type(expected).__name__}"
        raise ValueError(f"parameters {parameters!r} for method {method!r}: allowed are {allowed}")
    selecting = method not in _ITERATIVE
    if selecting and init != "real":
        raise ValueError(f"init {init!r} for method {method!r}, which selects real images: allowed is real")
    if method in ("dc", "dsa") and bool(parameters.augmentation) != (method == "dsa"):
        raise ValueError(
            f"augmentation {parameters.augmentation!r} for method {method!r}: dsa has a strategy, dc has none"
        )
    seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    problem = check(images, labels, membership, 1 if method == "full" else ipc, init, seed, classes, names)
    if not selecting:
        return _ITERATIVE[method].condense(problem, parameters, run or Run())
    if method == "herding":
        return selection.select_herding(problem, parameters.features, parameters.width, parameters.compile)
    return selection.select_full(problem) if method == "full" else selection.select_random_subset(problem)
