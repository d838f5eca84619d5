import math

from hypothesis import given
from hypothesis import strategies as st

from privacy_for_free.book.claims.effects import Effect
from privacy_for_free.book.claims.rules import Verdict, above, below, combine, includes, refuted

NUMBERS = st.floats(-10, 10)
EFFECTS = st.tuples(NUMBERS, NUMBERS, NUMBERS).map(sorted).map(lambda t: Effect(t[1], t[0], t[2]))


@given(EFFECTS, NUMBERS)
def test_a_rule_needs_the_whole_interval_on_one_side(effect, limit):
    sides = {effect.low <= limit, effect.high <= limit}
    expected = Verdict.OPEN if len(sides) > 1 else Verdict.HOLDS if sides == {True} else Verdict.FAILS
    assert below(limit)(effect) is expected
    opposite = {Verdict.HOLDS: Verdict.FAILS, Verdict.FAILS: Verdict.HOLDS, Verdict.OPEN: Verdict.OPEN}
    assert above(limit)(effect) is opposite[expected]


def test_a_value_is_included_or_not():
    assert includes(0.5)(Effect(1, 0.5, 2)) is Verdict.HOLDS
    assert includes(0.5)(Effect(1, 0.6, 2)) is Verdict.FAILS
    assert includes(0.5)(Effect(0, -1, 0.4)) is Verdict.FAILS
    assert includes(0.5)(Effect(math.nan, math.nan, math.nan)) is Verdict.OPEN


def test_what_is_not_refuted_stays_open():
    assert refuted()(Effect(60, 55, 65, 0.049)) is Verdict.FAILS
    assert refuted()(Effect(60, 55, 65, 0.05)) is Verdict.OPEN
    assert refuted()(Effect(60, 55, 65)) is Verdict.OPEN


@given(st.lists(st.sampled_from(Verdict)))
def test_verdicts_combine_whatever_their_order(verdicts):
    together = combine(verdicts)
    assert together is combine(verdicts[::-1])
    assert (together is Verdict.FAILS) == (Verdict.FAILS in verdicts)
    if together in (Verdict.HOLDS, Verdict.ASSUMPTIONS):
        assert set(verdicts) <= {Verdict.HOLDS, Verdict.ASSUMPTIONS}
    if not verdicts:
        assert together is Verdict.OPEN
