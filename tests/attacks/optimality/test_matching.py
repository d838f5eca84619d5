import pytest
import torch
from tests.attacks.optimality import material
from torch.nn.functional import cross_entropy

from privacy_for_free.attacks import optimality
from privacy_for_free.attacks.optimality import matching
from privacy_for_free.condensation.gradient_matching import distance
from privacy_for_free.core.randomness import generator
from privacy_for_free.nets import augmentation


def nets(strategy: str = "", count: int = 2) -> optimality.Extractors:
    network = material.smooth()
    weights = tuple(network.initial(generator(r, "net"), torch.float64) for r in range(count))
    drawn = tuple(augmentation.draw(strategy, 1, generator(r, "transform")) for r in range(count))
    return optimality.Extractors(network, weights, drawn if strategy else None)


def matching_gradient(networks, pool, released, b, members) -> torch.Tensor:
    """Return the gradient of the published loss in the released images, by automatic differentiation."""
    leaf, total = released.clone().requires_grad_(True), 0.0
    for r in range(len(networks)):
        weights = {name: value.clone().requires_grad_(True) for name, value in networks.weights[r].items()}

        def gradient(images, share, r=r, weights=weights):
            images = networks.transform(r, images)
            losses = cross_entropy(
                networks.network.logits(weights, images),
                torch.ones(len(images), dtype=torch.int64),
                reduction="none",
            )
            found = torch.autograd.grad(losses @ share, list(weights.values()), create_graph=True)
            return dict(zip(weights, found, strict=True))

        of_members = gradient(pool, b / members)
        own = gradient(leaf, torch.full((len(leaf),), 1 / len(leaf), dtype=torch.float64))
        total = total + distance(own, {name: value.detach() for name, value in of_members.items()})
    return torch.autograd.grad(total / len(networks), leaf)[0].flatten()


@pytest.mark.parametrize("strategy", ["", "color", "scale"])
def test_with_the_members_own_norms_the_residual_is_the_gradient(strategy, monkeypatch):
    networks, members = nets(strategy), material.half()
    pool, released = material.images(12, "pool"), material.images(2, "released")
    monkeypatch.setattr(matching, "HALVES", 1)
    monkeypatch.setattr(torch, "randperm", lambda count, generator: torch.argsort(~members, stable=True))
    made = matching.matching_equations(networks, pool, released, 1, material.MEMBERS)
    # The norm of a row is a number of the members here; the published gradient differentiates just g(S).
    expected = matching_gradient(networks, pool, released, members.double(), material.MEMBERS)
    torch.testing.assert_close(made.residual(members.double()), expected, rtol=0, atol=1e-9)
    torch.testing.assert_close(made.gradients.mean(0), -made.gap)


def test_any_half_has_about_the_norms():
    networks, members = nets(), material.half(count=40, members=20)
    pool, released = material.images(40, "pool"), material.images(2, "released")
    made = matching.matching_equations(networks, pool, released, 1, 20)
    expected = matching_gradient(networks, pool, released, members.double(), 20)
    error = made.residual(members.double()) - expected
    assert float(error.norm()) < 0.3 * float(expected.norm())


def test_networks_without_a_classifier_are_refused():
    with pytest.raises(ValueError, match=r"^networks without a classifier: allowed are weights of"):
        matching.matching_equations(
            material.drawn(), material.images(4, "pool"), material.images(1, "S"), 1, 2
        )
    with pytest.raises(ValueError, match=r"^label 2: allowed are whole numbers from 0 to 1"):
        matching.matching_equations(nets(), material.images(4, "pool"), material.images(1, "S"), 2, 2)
