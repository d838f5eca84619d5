"""A release of every half of a pool: the arrow from members to synthetic sets."""

from collections.abc import Sequence

import torch

from privacy_for_free.condensation import Condensed, Problem, Run, default_parameters
from privacy_for_free.core import validate
from privacy_for_free.core.entrance import entrance
from privacy_for_free.core.randomness import generator
from privacy_for_free.shadows.pools import Pool


@entrance
def problem(
    pool: Pool, method: str, init: str, ipc: int, seed: int, names: Sequence[int] | None = None
) -> Problem:
    """Return what `release` condenses: the halves of the pool, or those in `names` alone.

    A half's set is bitwise the same whichever others are condensed with it. ValueErrors are those of
    `Problem.of`; one too for a name that is none of the pool's halves.
    """
    names = range(pool.shadows) if names is None else names
    names = [validate.whole("names", name, 0, pool.shadows - 1) for name in names]
    stream = generator(seed, "release", method, init, ipc)
    number = int(torch.randint(2**62, (), generator=stream))
    halves = pool.membership[names].to(pool.images.device)
    return Problem.of(pool.images, pool.labels, halves, ipc, init, number, pool.classes, tuple(names))


@entrance
def release(
    pool: Pool,
    method: str,
    init: str,
    ipc: int,
    parameters: object | None,
    seed: int,
    run: Run | None = None,
    names: Sequence[int] | None = None,
) -> Condensed:
    """Condense every half of the pool, or those in `names` alone.

    method, parameters   the name of a method and its settings; None for the published ones
    init, ipc            what synthetic images start from, and how many per class (`condensation.condense`)
    seed                 of this release: its draws depend on it, and on method, init and ipc

    ValueError where settings are another method's, or know no such `init`, and where the problem cannot be
    posed; DivergenceError and CheckpointError as `condensation.condense` raises them.
    """
    settings = default_parameters(method) if parameters is None else parameters
    if not hasattr(settings, "initialisations"):
        raise ValueError(f"parameters {parameters!r}: allowed are settings of a method, or None")
    validate.one_of("method of the settings", settings.name, (method,))
    validate.one_of("init", init, settings.initialisations)
    return settings.condense(problem(pool, method, init, ipc, seed, names), run or Run())
