"""What is counted, against formulas: operations whose cost is plain, and ceilings that are a machine's."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy_for_free.core import roofline
from privacy_for_free.core.roofline import TensorPeak, flops

CPU = torch.device("cpu")


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 20))
def test_products_and_factors_are_counted_by_their_formulas(a, b, c):
    x, y = torch.ones(a, b), torch.ones(b, c)
    assert flops(lambda: x @ y) == 2 * a * b * c
    assert flops(lambda: x + x) == a * b
    assert flops(lambda: x.sum()) == a * b
    eye = torch.eye(a)
    assert flops(lambda: torch.linalg.cholesky_ex(eye)) == a**3 // 3
    assert flops(lambda: torch.cholesky_solve(x, eye)) == 2 * a * a * b
    assert flops(lambda: torch.linalg.solve_triangular(eye, x, upper=False)) == a * a * b


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 1000))
def test_peak_memory_is_of_what_lives_at_a_time(count):
    given_ = torch.ones(count)
    with TensorPeak() as peak:
        given_.add_(1)  # in place, and views: nothing new
        given_.view(-1)[: count // 2].neg()[:0].clone()
        first = peak.most
        one = given_ + 1
        two = one + 1
        del one
        three = two + 1
    assert first <= 4 * count
    assert peak.most == 8 * count
    assert peak.now == two.nbytes + three.nbytes


def test_a_peak_is_returned_with_the_result():
    given_ = torch.ones(100)
    most, result = roofline.peak_bytes(lambda: (given_ + 1) * 2, CPU)
    assert most == 800  # the sum and the product, float32
    assert torch.equal(result, torch.full((100,), 4.0))


def test_bytes_of_a_structure_are_those_of_its_tensors():
    tensor = torch.ones(3, dtype=torch.float64)
    assert roofline.nbytes({"a": [tensor, 7], "b": (tensor, "text")}) == 48
    assert roofline.nbytes(None) == 0


def test_a_call_is_timed_as_often_as_asked_and_twice_before():
    calls = []

    def slow():
        calls.append(0)
        torch.ones(3_000_000).double().exp().sum()

    times = roofline.timed(slow, 3, CPU)
    assert 0 < times.least <= times.median <= times.upper
    assert len(calls) >= 2 + 3


def test_short_calls_are_timed_many_at_a_time():
    calls = []
    times = roofline.timed(lambda: calls.append(0), 2, CPU)
    assert len(calls) > 100
    assert times.least < roofline.SHORTEST / 10


def test_ceilings_are_above_0():
    found = roofline.ceilings(torch.float32, CPU, side=64, block_mib=1, repeats=2)
    assert found.flops > 1e6
    assert found.bytes > 1e6
