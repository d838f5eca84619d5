"""The same equations for any condenser that minimises a sum over its members.

If S minimises (1/n) sum_i b_i l(S; x_i) + q(S), then (1/n) sum_i b_i grad l(S; x_i) = -grad q(S): one
equation in the members per number of S. `gradient_equations` is this for any l. KIP's loss is one, with a
deterministic kernel, so nothing about it is hidden (`kip_equations`).
"""

from collections.abc import Callable, Sequence

import torch

from privacy_for_free.attacks.optimality.system import Equations, check_memory
from privacy_for_free.condensation.kip import KIP
from privacy_for_free.core import devices, validate
from privacy_for_free.core.entrance import entrance
from privacy_for_free.nets.networks import check_labels

Loss = Callable[[torch.Tensor], Callable[..., torch.Tensor]]


def of_matrix(
    matrix: torch.Tensor, target: torch.Tensor, members: int, gradients: torch.Tensor | None = None
) -> Equations:
    """Return the equations A b = c of a matrix (rows x N), which is written over, and a target (rows).

    gradients  R x rows, the residuals A_r (n/N) - c_r of those whose mean the equations are; None for none
    """
    mean = matrix.mean(1)
    offset = mean.double() * matrix.shape[1]
    matrix.sub_(mean[:, None])
    if gradients is None:
        gradients = matrix.new_zeros((0, len(matrix)))
    return Equations(
        members,
        matrix.shape[1],
        offset * members / matrix.shape[1],
        target.double() - offset * members / matrix.shape[1],
        gradients,
        matrix,
        lambda b: (matrix @ (b - b.mean()).to(matrix)).double(),
        lambda y: (matrix.T @ y.to(matrix)).double(),
    )


@entrance
def gradient_equations(
    loss: Loss,
    synthetic: torch.Tensor,
    pool: Sequence[torch.Tensor],
    members: int,
    constant: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> Equations:
    """Return the equations of a set that minimises the mean loss of its members, by a gradient per candidate.

    loss       loss(S) is a function that returns l(S; x), a number, of one candidate; what depends on S alone
               is worked out once
    synthetic  S, of any shape, float
    pool       what describes the candidates, each with N rows: images, or images and labels
    members    n
    constant   q(S), a number; None for 0

    One backward pass per candidate. ValueError for a pool of different lengths, and where the matrix takes
    more than MEMORY bytes.
    """
    if not isinstance(pool, list | tuple) or not pool or len({len(part) for part in pool}) != 1:
        raise ValueError("pool: allowed are one or more tensors, in a tuple, of equally many rows")
    if not synthetic.is_floating_point() or synthetic.numel() == 0:
        raise ValueError(
            f"synthetic {synthetic.dtype} {tuple(synthetic.shape)}: allowed are one or more real numbers"
        )
    N = len(pool[0])
    validate.whole("members", members, 1, N)
    check_memory(f"gradients of {N} candidates", synthetic.element_size() * synthetic.numel() * N)
    matrix = synthetic.new_empty((synthetic.numel(), N))
    with devices.steady_threads(synthetic.device):
        leaf = synthetic.detach().clone().requires_grad_(True)
        of_one = loss(leaf)
        for i in range(N):
            value = of_one(*(part[i] for part in pool))
            if not isinstance(value, torch.Tensor) or value.dim() or not value.requires_grad:
                raise ValueError(
                    f"loss: {type(value).__name__} for candidate {i}; allowed are numbers with a history in S"
                )
            (found,) = torch.autograd.grad(value, leaf, retain_graph=True)
            matrix[:, i] = found.flatten() / members
        target = torch.zeros_like(matrix[:, 0])
        if constant is not None:
            target = -torch.autograd.grad(constant(leaf), leaf)[0].flatten()
        return of_matrix(matrix, target, members)


@entrance(shapes="pool N C H W, labels N, released m C H W, released_labels m classes")
def kip_equations(
    pool: torch.Tensor,
    labels: torch.Tensor,
    released: torch.Tensor,
    released_labels: torch.Tensor,
    members: int,
    parameters: KIP,
) -> Equations:
    """Return the equations of points that KIP has learnt, all classes together, float64.

    pool, labels               candidates, N x C x H x W, and their classes, N
    released, released_labels  m x C x H x W and m x classes, as `Condensed.flat` returns them
    members                    n, of all classes
    parameters                 the condenser's; its kernel has no secret

    The loss is that of all members as targets: of a step that draws fewer it is the mean. ValueError for
    labels beyond the classes.
    """
    classes = released_labels.shape[1]
    check_labels(labels, classes)
    targets = torch.nn.functional.one_hot(labels, classes).double() - 1 / classes
    network, m = parameters.network, len(released)

    def loss(points: torch.Tensor) -> Callable[..., torch.Tensor]:
        kernel = network.ntk(points)
        ridge = parameters.ridge * kernel.diagonal().mean() * torch.eye(m, dtype=kernel.dtype)
        weights = torch.linalg.solve(kernel + ridge.to(kernel), released_labels.to(kernel))

        def of_one(image: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
            error = network.ntk(image[None], points) @ weights - wanted
            return error.square().sum() / (2 * classes)

        return of_one

    return gradient_equations(
        loss, released.flatten(1).double(), (pool.flatten(1).double(), targets), members
    )
