"""Identification: who is in a released class mean, by linear algebra on a pool that the attacker knows.

The mean of n members is d linear equations in N unknown memberships, and their number is one more. Where
the images of the pool are independent, d >= N - 1, the equations have one solution; with fewer, but more than
about N / 2, still only one between 0 and 1 (`theory.identification`).

    found = identification.identify(pool, mean, members=500)
    print(found.status)     # names all 1,000 images: ...

`decompose` prepares a pool once for many releases, `solve` does the rest, `linear_statistics` is what the
statistic T of `attacks.tracing` makes of the same equations.
"""

from privacy_for_free.attacks.identification.equations import Equations, decompose
from privacy_for_free.attacks.identification.naming import (
    METHODS,
    Identification,
    Statistics,
    identify,
    linear_statistics,
    solve,
)

__all__ = [
    "METHODS",
    "Equations",
    "Identification",
    "Statistics",
    "decompose",
    "identify",
    "linear_statistics",
    "solve",
]
