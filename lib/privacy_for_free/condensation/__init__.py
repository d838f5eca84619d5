"""Dataset condensation behind one call, for any number of sets at once.

    condensed = condense(
        images, labels, membership, method=DM(iterations=1000), ipc=10, generator=generator(0, "sets")
    )

gives K synthetic sets, one for each row of the membership matrix. A method is its settings; the defaults are
the published ones (a bank of extractors has none), and its name stands for them:

    DM                 "dm"             distribution matching (Zhao & Bilen, WACV 2023)
    BankedDM           "dm_bank"        the same by a bank of extractors, which the real images pass once
    GradientMatching   "dc", "dsa"      gradient matching (Zhao, Mopuri & Bilen, ICLR 2021), with siamese
                                        augmentation (Zhao & Bilen, ICML 2021)
    KIP                "kip"            kernel inducing points (Nguyen, Chen & Lee, ICLR 2021)
    RandomSubset       "random_subset"  real images of the set, drawn without replacement: the baseline
    Herding            "herding"        real images chosen greedily so that their mean feature follows
                                        the class mean (Welling, ICML 2009)
    Full               "full"           all of the set's images

To add a method, write a module like `dm` with a frozen dataclass that has `name`, `initialisations` and
`condense(problem, run)`, and name it in `SETTINGS`.
"""

import importlib
from typing import Protocol

import torch

from privacy_for_free.condensation.loop import Run
from privacy_for_free.condensation.problem import INITIALISATIONS, Condensed, Problem
from privacy_for_free.core import validate
from privacy_for_free.core.entrance import entrance
from privacy_for_free.core.errors import CheckpointError, DivergenceError
from privacy_for_free.nets.networks import Network

__all__ = [
    "DM",
    "INITIALISATIONS",
    "KIP",
    "METHODS",
    "BankedDM",
    "CheckpointError",
    "Condensed",
    "DivergenceError",
    "Full",
    "GradientMatching",
    "Herding",
    "Problem",
    "RandomSubset",
    "Run",
    "check_method",
    "condense",
    "default_parameters",
]

SETTINGS = {  # where each method's settings are, and with what they begin; imported when they are asked for
    "dm": "privacy_for_free.condensation.dm:DM",
    "dc": "privacy_for_free.condensation.gradient_matching:GradientMatching",
    "dsa": "privacy_for_free.condensation.gradient_matching:GradientMatching",
    "kip": "privacy_for_free.condensation.kip:KIP",
    "random_subset": "privacy_for_free.condensation.selection:RandomSubset",
    "herding": "privacy_for_free.condensation.selection:Herding",
    "full": "privacy_for_free.condensation.selection:Full",
    "dm_bank": "privacy_for_free.condensation.dm_bank:BankedDM",
}
METHODS = tuple(SETTINGS)


class Method(Protocol):
    """The settings of a method, a frozen dataclass that knows how to condense."""

    initialisations: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name of the method, one of METHODS."""

    def condense(self, problem: Problem, run: Run | None = None) -> Condensed:
        """Condense every set of the problem."""


def __getattr__(name: str) -> type:
    for place in dict.fromkeys(SETTINGS.values()):
        module, _, settings = place.partition(":")
        if settings == name:
            return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@entrance
def check_method(method: str) -> str:
    """Return the method's name; ValueError lists the known ones.

    >>> check_method("gan")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: method 'gan': known are dm, dc, dsa, ...
    """
    return validate.one_of("method", method, METHODS)


@entrance
def default_parameters(method: str) -> Method:
    """Return a method's published settings, a frozen dataclass to change with dataclasses.replace.

    >>> default_parameters("dm").iterations
    20000
    """
    module, _, name = SETTINGS[check_method(method)].partition(":")
    settings = getattr(importlib.import_module(module), name)
    return settings(augmentation="") if method == "dc" else settings()


@entrance
def condense(
    *data: object,
    images: torch.Tensor | None = None,
    labels: torch.Tensor | None = None,
    membership: torch.Tensor | None = None,
    method: Method | str | None = None,
    parameters: Method | None = None,
    ipc: int = 10,
    init: str = "real",
    start: torch.Tensor | None = None,
    network: Network | None = None,
    generator: torch.Generator,
    classes: int | None = None,
    names: tuple[int, ...] | None = None,
    run: Run | None = None,
) -> Condensed:
    """Condense K sets of a pool of images with one method.

    data        images, labels and membership in their places, after the name of a method if need be
    images      N x C x H x W, float32 or float64 (KIP computes in float64 whatever they are)
    labels      int64, N
    membership  bool, K x N; None is one set that holds every image
    method      the settings of a method (`DM(...)`), or its name for the published ones; None for DM
    parameters  the settings, where `method` is a name
    ipc         synthetic images per class; `full` takes as many as a class of a set has, and ignores it
    init        "real", "noise" or "noise_matched"; the selections know only "real"
    start       what the synthetic images start from, in place of `init`: int64, K x classes x ipc, numbers of
                real images; or images, K x classes x ipc x C x H x W, of the dtype of the real ones
    network     what DM takes its features from, in place of what its settings build; BankedDM takes one too
    generator   one number is drawn from it, and everything random derived from that number
    classes     number of classes, where the labels do not show it
    names       different whole numbers, one for each set: what its own draws are derived from; a set that is
                condensed alone under its name is the set of the whole run
    run         checkpoint, log, snapshots, progress: a `Run`

    The name of a method may also come first: condense("dm", images, labels, membership, ...). Everything is
    computed on the device of `images`. Raises ValueError before any work when the input does not fit,
    DivergenceError when a loss stops being finite.
    """
    method, given = _placed(data, method, {"images": images, "labels": labels, "membership": membership})
    method = _chosen(method, parameters)
    if init in INITIALISATIONS and init not in method.initialisations:
        allowed = ", ".join(method.initialisations)
        raise ValueError(f"init {init!r} for method {method.name!r}: allowed is {allowed}")
    if start is not None and method.initialisations == ("real",):
        raise ValueError(f"start for method {method.name!r}, which selects real images: allowed is None")
    if network is not None and not getattr(method, "takes_network", False):
        raise ValueError(f"network for method {method.name!r}: allowed is None, only dm and dm_bank take one")
    seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    problem = Problem.of(
        given["images"],
        given["labels"],
        given["membership"],
        1 if method.name == "full" else ipc,
        init,
        seed,
        classes,
        names,
        start=start,
        network=network,
    )
    return method.condense(problem, run or Run())


def _placed(
    data: tuple[object, ...], method: Method | str | None, named: dict[str, object]
) -> tuple[Method | str, dict[str, object]]:
    """Return the method and the data, given in their places or by name; ValueError for one too many."""
    if data and isinstance(data[0], str):
        if method is not None:
            raise ValueError(f"method {data[0]!r} and method {method!r}: allowed is one of the two")
        method, *data = data
    places = [name for name in named if named[name] is None]
    if len(data) > len(named) or places[: len(data)] != list(named)[: len(data)]:
        raise ValueError(
            f"{len(data)} arguments in their places: allowed are {', '.join(named)}, each once, in place or "
            "by name; everything else by name"
        )
    given = named | dict(zip(named, data, strict=False))
    if given["images"] is None or given["labels"] is None:
        raise ValueError("images or labels None: allowed are tensors, for `condense` takes both")
    return "dm" if method is None else method, given


def _chosen(method: Method | str, parameters: Method | None) -> Method:
    """Return the settings to condense with; ValueError where name and settings are of different methods."""
    if not isinstance(method, str):
        if parameters is not None:
            raise ValueError(f"parameters {parameters!r} beside method {method!r}: allowed is one of the two")
        if not hasattr(method, "initialisations"):
            raise ValueError(f"method {method!r}: allowed are settings of a method, or {', '.join(METHODS)}")
        return method
    expected = default_parameters(method)
    parameters = expected if parameters is None else parameters
    if not isinstance(parameters, type(expected)):
        allowed = f"{type(expected).__module__}.{type(expected).__name__}"
        raise ValueError(f"parameters {parameters!r} for method {method!r}: allowed are {allowed}")
    if parameters.name != method:
        raise ValueError(
            f"augmentation {parameters.augmentation!r} for method {method!r}: dsa has a strategy, dc has none"
        )
    return parameters
