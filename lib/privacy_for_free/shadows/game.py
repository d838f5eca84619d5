"""A release of every half of a pool."""

from privacy_for_free.condensation import Condensed, Run, condense
from privacy_for_free.core.randomness import generator
from privacy_for_free.shadows.pools import Pool


def release(
    pool: Pool,
    method: str,
    init: str,
    ipc: int,
    parameters: object | None,
    seed: int,
    run: Run | None = None,
) -> Condensed:
    """Condense every half of the pool; errors are those of `condensation.condense`."""
    return condense(
        method,
        pool.images,
        pool.labels,
        pool.membership.to(pool.images.device),
        ipc=ipc,
        init=init,
        parameters=parameters,
        generator=generator(seed, "release", method, init, ipc),
        classes=pool.classes,
        run=run,
    )
