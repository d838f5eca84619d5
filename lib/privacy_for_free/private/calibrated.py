"""Releases that are asked for by their epsilon: the noise is found, added and accounted for in one place.

    release(problem, OneRelease(0.0, extractors=20), epsilon=1.0)

finds the least noise with which these settings are (1, 1e-5)-differentially private on the problem's class
counts, condenses with it, and returns the sets together with the mechanism that made them and its epsilons.
The sampling rate, the number of noisy sums and the adjacency come from the settings and the problem, so no
epsilon can be paired with the noise of another mechanism. What the guarantee rests on, and what it takes to
be public, is written in `noisy_condensation`, `dp_merf` and `accounting`.

DP-SGD releases a network and no sets: `least_noise(settings.mechanism(count), epsilon)` is its noise, and
`epsilons` says what else may be said of it.
"""

from dataclasses import dataclass, replace

from privacy_for_free.condensation.loop import Run
from privacy_for_free.condensation.problem import Condensed, Problem, class_counts
from privacy_for_free.core.entrance import entrance
from privacy_for_free.private.accounting import DELTA, Mechanism, calibrate
from privacy_for_free.private.dp_merf import DPMERF
from privacy_for_free.private.noisy_condensation import (
    LDPDC,
    NDPDC,
    ClippedSums,
    Linear,
    OneRelease,
    Settings,
)

SETTINGS = (Linear, LDPDC, NDPDC, OneRelease, DPMERF)


@dataclass(frozen=True)
class Epsilons:
    """What one noise is worth at one delta, each an upper bound; all infinite without noise.

    delta        the delta of all three
    add_remove   for adding or removing an example, the smallest bound known: exact for a release without
                 sampling, mostly from privacy loss distributions where there is some
    replace_one  for replacing an example by another, likewise
    renyi        for adding or removing an example, by Renyi accounting, which published noise comes from
    """

    delta: float
    add_remove: float
    replace_one: float
    renyi: float


@dataclass(frozen=True, eq=False)
class Release:
    """Synthetic sets, the mechanism that made them, and what is proved of it.

    sets       K synthetic sets
    mechanism  with the noise that was added; its adjacency is that of the settings
    epsilon    the one asked for, of each of the K sets by itself, for `mechanism.adjacency`
    epsilons   of the same noise
    """

    sets: Condensed
    mechanism: Mechanism
    epsilon: float
    epsilons: Epsilons


@entrance
def release(
    problem: Problem,
    settings: Settings,
    epsilon: float,
    delta: float = DELTA,
    run: Run | None = None,
    sums: ClippedSums | None = None,
) -> Release:
    """Condense every set of a problem with the least noise that is (epsilon, delta)-differentially private.

    problem   its `init` has to be "noise"; its class counts are public
    settings  a Linear, LDPDC, NDPDC, OneRelease or DPMERF whose noise_multiplier is 0: noise has one source,
              the epsilon
    epsilon   above 0, for the settings' `adjacency`; infinity: clipped and sampled as ever, without noise
    run       checkpoint, log and progress, where the method descends
    sums      what `noisy_condensation.clipped_feature_sums` returned for this problem, for OneRelease only:
              NOT private, and worth keeping by those who compare several epsilons on one problem

    Each set by itself is (epsilon, delta)-private. Where K sets share an image, all of them together are not.
    They get the same noise, that of the smallest class in any of them. ValueError before any work for an
    epsilon that is not above 0 or needs no computable noise, a delta outside (0, 1), settings of another
    kind or with noise of their own, a sample larger than a class, and sums for other settings;
    DivergenceError when a loss stops being finite.
    """
    _check(settings)
    if sums is not None and not isinstance(settings, OneRelease):
        raise ValueError(f"sums for {settings!r}: allowed are sums for OneRelease only")
    if sums is not None:
        sums.check(problem, settings)
    counts = class_counts(problem.labels, problem.membership, problem.classes).amin(0).cpu()
    mechanism = least_noise(settings.mechanism(counts, problem.ipc), epsilon, delta)
    noisy = replace(settings, noise_multiplier=mechanism.noise_multiplier)
    sets = noisy.condense(problem, run) if sums is None else noisy.condense(problem, run, sums)
    return Release(sets, mechanism, epsilon, epsilons(mechanism, delta))


@entrance
def least_noise(mechanism: Mechanism, epsilon: float, delta: float = DELTA) -> Mechanism:
    """Return the mechanism with the least noise that is (epsilon, delta)-DP, by the smallest bound known.

    Steps, sampling rate and adjacency are those of `mechanism`; its noise_multiplier is not looked at. An
    infinite epsilon needs no noise. ValueError for an epsilon that is not above 0, a delta outside (0, 1),
    and a target that `accounting.calibrate` does not reach.

    >>> round(least_noise(Mechanism(0.0), 1.0).noise_multiplier, 3)
    3.731
    """
    return calibrate(epsilon, mechanism.steps, mechanism.rate, delta, mechanism.adjacency)


@entrance
def epsilons(mechanism: Mechanism, delta: float = DELTA) -> Epsilons:
    """Return the epsilons of a mechanism's noise, whatever adjacency it was calibrated for.

    >>> account = epsilons(Mechanism(3.7306))
    >>> round(account.add_remove, 2), round(account.replace_one, 2), round(account.renyi, 2)
    (1.0, 2.15, 1.09)
    """
    add_remove, replace_one = (
        replace(mechanism, adjacency=adjacency) for adjacency in ("add_remove", "replace_one")
    )
    return Epsilons(
        delta,
        add_remove.epsilon(delta),
        replace_one.epsilon(delta),
        add_remove.epsilon(delta, "rdp"),
    )


def _check(settings: Settings) -> None:
    """Refuse what are no settings of a private condensation, and settings with noise of their own."""
    if not isinstance(settings, SETTINGS):
        allowed = ", ".join(kind.__name__ for kind in SETTINGS)
        raise ValueError(f"settings {settings!r}: allowed are {allowed}")
    if settings.noise_multiplier != 0:
        raise ValueError(
            f"noise_multiplier {settings.noise_multiplier!r} beside an epsilon: allowed is 0, the noise is "
            "what the epsilon needs"
        )
