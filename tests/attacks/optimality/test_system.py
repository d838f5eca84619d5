import pytest
import torch
from tests.attacks.optimality import material

from privacy_for_free.attacks import optimality
from privacy_for_free.attacks.optimality import system
from privacy_for_free.core.randomness import generator
from privacy_for_free.nets import augmentation

FORMS = ("dense", "matrix_free")


@pytest.mark.parametrize("strategy", ["", *augmentation.KINDS])
@pytest.mark.parametrize("form", FORMS)
def test_the_equations_are_the_gradient_of_the_loss(form, strategy):
    extractors = material.drawn(strategy, 3)
    pool, released = material.images(material.N, "pool"), material.images(2, "released")
    made = optimality.equations(extractors, pool, released, material.MEMBERS, form=form)
    A, c = material.naive(extractors, pool, released, material.MEMBERS)
    if form == "dense" or not strategy:
        torch.testing.assert_close(made.dense(), A, rtol=0, atol=1e-10)
    torch.testing.assert_close(made.target, c, rtol=0, atol=1e-10)
    b = torch.rand(material.N, generator=generator(0, "b"), dtype=torch.float64)
    y = torch.randn(made.rows, generator=generator(0, "y"), dtype=torch.float64)
    torch.testing.assert_close(made.matvec(b), A @ b, rtol=0, atol=1e-10)
    torch.testing.assert_close(made.rmatvec(y), A.T @ y, rtol=0, atol=1e-10)
    torch.testing.assert_close(made.residual(b), A @ b - c, rtol=0, atol=1e-10)
    assert made.gradients.shape == (3, made.rows)
    torch.testing.assert_close(made.gradients.mean(0), -made.gap)


@pytest.mark.parametrize("form", FORMS)
def test_more_features_than_candidates(form):
    extractors = material.drawn(count=2)
    pool, released = material.images(5, "pool"), material.images(2, "released")
    assert extractors.network.feature_dim > 5
    made = optimality.equations(extractors, pool, released, 2, form=form)
    torch.testing.assert_close(made.dense(), material.naive(extractors, pool, released, 2)[0])


@pytest.mark.parametrize("form", FORMS)
def test_inside_keeps_the_equations_of_its_pixels(form):
    extractors, pool, released = material.drawn(count=1), material.images(12, "pool"), material.images(2, "S")
    inside = released.abs() < 1
    every = optimality.equations(extractors, pool, released, 6, form=form)
    some = optimality.equations(extractors, pool, released, 6, inside, form=form)
    kept = inside.flatten()
    assert 0 < some.rows == int(kept.sum()) < every.rows
    torch.testing.assert_close(some.dense(), every.dense()[kept])
    torch.testing.assert_close(some.target, every.target[kept])
    torch.testing.assert_close(some.rmatvec(some.gap), every.dense()[kept].T @ some.gap)
    with pytest.raises(ValueError, match=r"^inside: 0 of 128 pixels; allowed are one or more"):
        optimality.equations(extractors, pool, released, 6, torch.zeros_like(inside))


def test_the_form_with_fewer_operations_is_taken_where_it_fits(monkeypatch):
    extractors, pool, released = material.drawn(), material.images(12, "pool"), material.images(2, "released")
    counted = system.costs(extractors, pool, released, 128)
    assert counted["dense"][0] < counted["matrix_free"][0]
    assert optimality.equations(extractors, pool, released, 6).matrix is not None
    monkeypatch.setattr(system, "MEMORY", 1000)
    with pytest.raises(ValueError, match=r"equations of 12 candidates and 128 pixels of .* GiB: allowed are"):
        optimality.equations(extractors, pool, released, 6)


def test_images_of_another_shape_are_refused():
    extractors, pool = material.drawn(), material.images(12, "pool")
    with pytest.raises(ValueError, match=r"^released torch.float64 \(2, 1, 9, 9\): allowed "):
        optimality.equations(extractors, pool, material.images(2, "released", 9), 6)
    with pytest.raises(ValueError, match=r"^members 13: allowed are whole numbers from 1 to 12"):
        optimality.equations(extractors, pool, material.images(2, "released"), 13)
