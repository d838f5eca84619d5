"""Verdicts, and the rules that turn an effect with its interval into one."""

from collections.abc import Callable
from enum import StrEnum

from privacy_for_free.book.claims.effects import Effect


class Verdict(StrEnum):
    """What the evidence says of a claim."""

    HOLDS = "holds"
    ASSUMPTIONS = "holds under assumptions"
    FAILS = "fails"
    OPEN = "open"


Rule = Callable[[Effect], Verdict]


def below(limit: float, holds: Verdict = Verdict.HOLDS) -> Rule:
    """Hold where the whole interval is at most `limit`, fail where none of it is, else stay open."""
    return lambda e: holds if e.high <= limit else Verdict.FAILS if e.low > limit else Verdict.OPEN


def above(limit: float, holds: Verdict = Verdict.HOLDS) -> Rule:
    """Hold where the whole interval is above `limit`, fail where none of it is, else stay open."""
    return lambda e: holds if e.low > limit else Verdict.FAILS if e.high <= limit else Verdict.OPEN


def includes(value: float) -> Rule:
    """Hold where the interval includes `value`, fail where it does not; of not a number stay open."""

    def rule(effect: Effect) -> Verdict:
        if effect.low <= value <= effect.high:
            return Verdict.HOLDS
        return Verdict.FAILS if effect.low > value or effect.high < value else Verdict.OPEN

    return rule


def refuted(level: float = 0.05) -> Rule:
    """Fail where the corrected p-value is below `level`; what is not refuted stays open."""
    return lambda e: Verdict.FAILS if e.p_value is not None and e.p_value < level else Verdict.OPEN


def combine(verdicts: list[Verdict]) -> Verdict:
    """Return one verdict for several data sets: fails on one is fails, holds needs all, open is the rest."""
    if Verdict.FAILS in verdicts:
        return Verdict.FAILS
    if not verdicts or Verdict.OPEN in verdicts:
        return Verdict.OPEN
    return Verdict.ASSUMPTIONS if Verdict.ASSUMPTIONS in verdicts else Verdict.HOLDS
