import pytest
import torch
from tests.attacks.optimality import material

from privacy_for_free.attacks import optimality
from privacy_for_free.attacks.optimality import clipping

LOW, HIGH = torch.tensor([-0.7]), torch.tensor([0.9])


def clipped():
    extractors, pool, members, released = material.planted()
    return extractors, pool, members, released, released.clamp(LOW.double(), HIGH.double())


def test_the_pixels_that_were_cut_off_are_found_from_the_members():
    extractors, pool, members, released, cut = clipped()
    gone = clipping.at_bounds(cut, LOW.double(), HIGH.double())
    assert torch.equal(gone, cut != released)
    assert 0 < int(gone.sum()) < gone.numel() / 2
    b = members.double()
    found = clipping.unclipped(extractors, pool, cut, 6, LOW.double(), HIGH.double(), b, steps=100)
    torch.testing.assert_close(found, released, rtol=0, atol=1e-4)
    assert torch.equal(found[~gone], released[~gone])
    assert torch.equal(clipping.unclipped(extractors, pool, cut, 6, LOW, HIGH, b, steps=0), cut)


def test_members_and_pixels_are_found_by_turns():
    extractors, pool, members, _, cut = clipped()
    low, high = LOW.double(), HIGH.double()
    errors = {}
    for rounds in (0, 1, 4):
        scores = clipping.solve_clipped(extractors, pool, cut, 6, low, high, 1e-4, rounds=rounds)
        errors[rounds] = float((scores - members.double()).abs().mean())
    assert errors[4] < errors[1] < errors[0]
    assert scores[members].min() > scores[~members].max()


def test_images_that_were_not_clipped_stay():
    extractors, pool, _, released = material.planted()
    wide = torch.tensor([9.0])
    assert torch.equal(clipping.unclipped(extractors, pool, released, 6, -wide, wide), released)
    scores = clipping.solve_clipped(extractors, pool, released, 6, -wide, wide, 0.01)
    expected = optimality.solve(optimality.equations(extractors, pool, released, 6), 0.01)
    torch.testing.assert_close(scores, expected)


def test_bounds_in_the_wrong_order_are_refused():
    with pytest.raises(ValueError, match=r"^low \[1.0\]: allowed are numbers below high, \[0.0\]"):
        clipping.at_bounds(material.images(1, "S"), torch.ones(1), torch.zeros(1))


def test_images_with_no_pixel_inside_are_refused():
    extractors, pool, _, released = material.planted()
    low, high = torch.zeros(1), torch.full((1,), 1e-6)
    with pytest.raises(
        ValueError, match=r"^released: all pixels are at bounds; allowed are images with some"
    ):
        clipping.solve_clipped(extractors, pool, released, 6, low, high, 0.1)
    with pytest.raises(ValueError, match=r"^rounds 101: allowed are whole numbers from 0 to 100"):
        clipping.solve_clipped(extractors, pool, released, 6, low, high, 0.1, rounds=101)
