import pytest
import torch
from tests.attacks.optimality import material

from privacy_for_free.attacks import optimality
from privacy_for_free.attacks.optimality import gradients
from privacy_for_free.condensation import KIP, Problem
from privacy_for_free.condensation.kip import TargetStream
from privacy_for_free.core.randomness import generator


def test_distribution_matching_in_the_general_form():
    """Its loss is a sum over members plus a term of S alone, but for a constant."""
    extractors, pool, members, released = material.planted()
    R = len(extractors)

    def loss(S):
        means = [material.embedding(extractors, r)(S).mean(0) for r in range(R)]
        return lambda x: (
            -2 * sum(material.embedding(extractors, r)(x[None])[0] @ means[r] for r in range(R)) / R
        )

    def constant(S):
        return sum(material.embedding(extractors, r)(S).mean(0).square().sum() for r in range(R)) / R

    made = gradients.gradient_equations(loss, released, (pool,), material.MEMBERS, constant)
    known = optimality.equations(extractors, pool, released, material.MEMBERS)
    torch.testing.assert_close(made.dense(), -2 * known.dense(), rtol=0, atol=1e-10)
    torch.testing.assert_close(made.target, -2 * known.target, rtol=0, atol=1e-10)
    b = torch.rand(material.N, generator=generator(0, "b"), dtype=torch.float64)
    torch.testing.assert_close(made.residual(b), -2 * known.residual(b), rtol=0, atol=1e-10)
    torch.testing.assert_close(made.rmatvec(made.gap), -2 * known.rmatvec(made.gap), rtol=0, atol=1e-10)
    scores = optimality.solve(made, 1e-9, whiten=True)  # of one deterministic loss there is no spread
    torch.testing.assert_close(scores, members.double(), rtol=0, atol=1e-6)


def test_kip_s_equations_are_its_gradient():
    pool, labels = material.images(16, "pool", 4), torch.arange(16) % 2
    members = material.half(count=16, members=8)
    parameters = KIP(ridge=1e-2, labels="fixed")
    problem = Problem.of(pool, labels, members[None], 2, "noise", 0, 2)
    released, targets = material.images(4, "released", 4), torch.tensor([[0.5, -0.5]] * 2 + [[-0.5, 0.5]] * 2)
    made = gradients.kip_equations(pool, labels, released, targets, 8, parameters)
    points, gradient = released.flatten(1)[None], torch.zeros((1, 4, 16), dtype=torch.float64)
    stream = TargetStream(problem, parameters)
    stream.gradient(points, targets.double()[None], torch.arange(16), members[None], gradient)
    torch.testing.assert_close(made.residual(members.double()), gradient.flatten(), rtol=0, atol=1e-12)


def test_a_point_that_kip_has_converged_to_names_every_member():
    pool, labels = material.images(12, "pool", 4), torch.arange(12) % 2
    members = material.half()
    targets = torch.tensor([[0.5, -0.5], [-0.5, 0.5]], dtype=torch.float64)
    parameters = KIP(ridge=1e-2)
    released = material.images(2, "start", 4).flatten(1).requires_grad_(True)
    wanted = torch.nn.functional.one_hot(labels, 2).double() - 0.5
    optimiser = torch.optim.LBFGS([released], max_iter=2000, tolerance_grad=1e-13, tolerance_change=0,
                                  line_search_fn="strong_wolfe")  # fmt: skip

    def closure():
        optimiser.zero_grad()
        kernel = parameters.network.ntk(released)
        kernel = kernel + 1e-2 * kernel.diagonal().mean() * torch.eye(2, dtype=torch.float64)
        weights = torch.linalg.solve(kernel, targets)
        inside = pool[members].flatten(1)
        error = parameters.network.ntk(inside, released) @ weights - wanted[members]
        value = error.square().sum() / 24
        value.backward()
        return value

    optimiser.step(closure)
    images = released.detach().reshape(2, 1, 4, 4)
    made = gradients.kip_equations(pool, labels, images, targets, material.MEMBERS, parameters)
    scores = optimality.solve(made, 1e-8)
    assert scores[members].min() > scores[~members].max()


def test_pools_that_do_not_fit_are_refused():
    pool = material.images(4, "pool")
    with pytest.raises(ValueError, match=r"^pool: allowed are one or more tensors, in a tuple, of equally"):
        gradients.gradient_equations(lambda S: S.sum, pool, (pool, pool[:2]), 2)
    with pytest.raises(ValueError, match=r"^members 5: allowed are whole numbers from 1 to 4"):
        gradients.gradient_equations(lambda S: S.sum, pool, (pool,), 5)
    with pytest.raises(ValueError, match=r"^synthetic torch.int64 \(4, 1, 8, 8\): allowed are one or more"):
        gradients.gradient_equations(lambda S: S.sum, pool.long(), (pool,), 2)
    with pytest.raises(ValueError, match=r"^loss: float for candidate 0; allowed are numbers with a history"):
        gradients.gradient_equations(lambda S: lambda x: 1.0, pool, (pool,), 2)
