"""The equations of gradient matching (DC and DSA): linear in the members but for norms, which any half gives.

With g_i the gradient of the loss of x_i in a network's weights and g(S) that of the synthetic images, both
split into rows, a matching minimises over S

    sum over rows of 1 - <g(S), g> / (|g(S)| |g| + 1e-6),   g = (1/n) sum_i b_i g_i.

The norms |g| are numbers, nearly the same for every half of the pool. Given those, the loss is linear in b,
and where its mean over networks is stationary, A b = 0.
"""

import torch
from torch.func import grad, vmap
from torch.nn.functional import cross_entropy

from privacy_for_free.attacks.optimality.extractors import Extractors, checked
from privacy_for_free.attacks.optimality.gradients import of_matrix
from privacy_for_free.attacks.optimality.linearised import CACHED
from privacy_for_free.attacks.optimality.system import Equations, check_memory
from privacy_for_free.core import devices, validate
from privacy_for_free.core.entrance import entrance
from privacy_for_free.core.randomness import generator

TINY = 1e-6  # of the published distance
HALVES = 8  # random ones whose norms are averaged


@entrance(shapes="pool N C H W, released m C H W")
def matching_equations(
    networks: Extractors, pool: torch.Tensor, released: torch.Tensor, label: int, members: int
) -> Equations:
    """Return the equations of one class's images released by gradient matching.

    networks  with a classifier: `network.initial` as it is, or what the condenser trains on the released set
              between two matchings; and the transforms of DSA, None for DC
    pool      N x C x H x W, candidates of the class
    released  m x C x H x W, all images of the class
    label     the class
    members   n, known or guessed

    Two gradients per candidate and network, one in the weights and one of a product with it in the pixels.
    ValueError for weights without a classifier, and where the gradients take more than MEMORY bytes.
    """
    validate.whole("label", label, 0, networks.network.classes - 1)
    validate.whole("members", members, 1, len(pool))
    if not all("classifier.weight" in one for one in networks.weights):
        raise ValueError("networks without a classifier: allowed are weights of `initial` with one")
    pool, released = checked(networks, pool, released)
    N, rows, R = len(pool), released.numel(), len(networks)
    size = sum(value.numel() for value in networks.weights[0].values() if value.dim() > 1)
    check_memory(f"gradients of {N} candidates", pool.element_size() * N * (2 * rows + size))
    matrix, residuals = pool.new_zeros((rows, N)), pool.new_empty((R, rows))
    with devices.steady_threads(pool.device):
        for r in range(R):
            found = _of_network(networks, r, pool, released, label, members)
            residuals[r] = found.mean(1) * members
            matrix.add_(found, alpha=1 / R)
        return of_matrix(matrix, torch.zeros_like(matrix[:, 0]), members, residuals)


def _of_network(
    networks: Extractors, r: int, pool: torch.Tensor, released: torch.Tensor, label: int, members: int
) -> torch.Tensor:
    """Return one network's matrix, rows x N."""
    network, weights = networks.network, networks.weights_as(r, pool)
    matched = {name: value for name, value in weights.items() if value.dim() > 1}
    rest = {name: value for name, value in weights.items() if name not in matched}

    def loss(matched: dict[str, torch.Tensor], images: torch.Tensor) -> torch.Tensor:
        labels = torch.full((len(images),), label, device=images.device)
        return cross_entropy(network.logits(matched | rest, images), labels)

    chunk = max(1, CACHED // network.activation_bytes(pool.dtype))
    of_each = vmap(grad(lambda matched, image: loss(matched, image[None])), (None, 0))
    parts = [of_each(matched, networks.transform(r, part)) for part in pool.split(chunk)]
    gradients = {name: torch.cat([part[name] for part in parts]).flatten(2) for name in matched}
    leaf = released.detach().clone().requires_grad_(True)
    inputs = {name: value.detach().requires_grad_(True) for name, value in matched.items()}
    value = loss(inputs, networks.transform(r, leaf))
    own = torch.autograd.grad(value, list(inputs.values()), create_graph=True)
    scaled = []
    for name, one in zip(matched, own, strict=True):
        norms = _norms(gradients[name], members)
        one = one.flatten(1)
        scaled.append((one / (one.norm(dim=1, keepdim=True) * norms[:, None] + TINY)).flatten())
    product = torch.cat(scaled)
    flat = torch.cat([gradients[name].flatten(1) for name in matched], 1) / members
    size = max(1, chunk // (4 * len(released)))
    found = [
        torch.autograd.grad(product, leaf, -part, retain_graph=True, is_grads_batched=True)[0].flatten(1)
        for part in flat.split(size)
    ]
    return torch.cat(found).T


def _norms(gradients: torch.Tensor, members: int) -> torch.Tensor:
    """Return the norms of a mean gradient's rows: averages over random halves of the candidates."""
    norms = 0.0
    for half in range(HALVES):
        order = torch.randperm(len(gradients), generator=generator(0, "optimality half", half))[:members]
        norms = norms + gradients[order.to(gradients.device)].mean(0).norm(dim=1) / HALVES
    return norms
