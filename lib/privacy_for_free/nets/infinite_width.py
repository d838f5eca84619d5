"""Kernels of infinitely wide fully connected ReLU networks, in closed form.

The NNGP is the covariance of the network's output over its random initialisation (Lee et al., ICLR 2018), the
NTK the inner product of its gradients in the parameters (Jacot, Gabriel & Hongler, NeurIPS 2018). Weights are
independent normals of variance weight_variance / fan-in, biases of variance bias_variance, both learnt in the
NTK parameterisation. With s(x, z) = weight_variance <x, z> / d + bias_variance for the first layer, each ReLU
and the layer after it map (Cho & Saul, NIPS 2009, equations 3 to 6, orders 1 and 0; Jacot et al., section 4)

    cos(t) = s(x, z) / sqrt(s(x, x) s(z, z))
    k0 = (pi - t) / (2 pi)                                        E[relu'(u) relu'(v)]
    k1 = sqrt(s(x, x) s(z, z)) sin(t) / (2 pi) + s(x, z) k0       E[relu(u) relu(v)]
    s -> weight_variance k1 + bias_variance
    NTK -> s + weight_variance NTK k0

and the NTK of the first layer is s itself. These are the conventions of neural-tangents.
"""

import math
from dataclasses import dataclass

import torch

from privacy_for_free.core import validate
from privacy_for_free.core.entrance import entrance

# Below this squared sine (in units of the dtype's epsilon) two points count as parallel: there the NTK has a
# kink, the angle is all rounding, and the derivative of k0 is taken as 0, the middle of its values.
_PARALLEL = 1e4


@entrance
@dataclass(frozen=True)
class FullyConnected:
    """A network of `depth` hidden ReLU layers of infinite width and one output.

    depth 0 is a linear model. The variances are those of a weight times its fan-in and of a bias. ValueError
    for a depth that is not a whole number from 0 up, a weight variance that is not positive, and a bias
    variance that is negative.
    """

    depth: int = 1
    weight_variance: float = 2.0
    bias_variance: float = 0.01

    def __post_init__(self) -> None:
        """Refuse what is not a network."""
        validate.whole("depth", self.depth)
        validate.positive("weight_variance", self.weight_variance)
        validate.not_negative("bias_variance", self.bias_variance)

    def nngp(self, x: torch.Tensor, z: torch.Tensor | None = None) -> torch.Tensor:
        """Return the NNGP (..., n, m) of x (..., n, d) and z (..., m, d), float64, d pixel values per image.

        `z` None stands for x itself, and the diagonal is then exact: the angle there is 0, whatever the
        rounding. Differentiable. ValueError for other dtypes and for d that differ.
        """
        return self._kernels(x, z)[0]

    def ntk(self, x: torch.Tensor, z: torch.Tensor | None = None) -> torch.Tensor:
        """Return the NTK (..., n, m) of x (..., n, d) and z (..., m, d); see `nngp`.

        Where two points are parallel the NTK has no derivative; the one returned leaves the term of the kink
        out, so that it is finite, and at x = z it is that of the smooth diagonal.
        """
        return self._kernels(x, z)[1]

    def ntk_diagonal(self, x: torch.Tensor) -> torch.Tensor:
        """Return the NTK of each image with itself (..., n), float64, of x (..., n, d).

        A check, used by the tests only: what `ntk` has on its diagonal, in closed form, without angles.
        """
        _check(x, x)
        variance = self.variance(x)
        ntk = variance
        for _ in range(self.depth):
            variance = self._affine(variance / 2)
            ntk = variance + self.weight_variance / 2 * ntk
        return ntk

    def variance(self, x: torch.Tensor) -> torch.Tensor:
        """Return s(x, x) of the first layer (..., n), of x (..., n, d)."""
        return self._affine(x.square().sum(-1) / x.shape[-1])

    def _affine(self, products: torch.Tensor) -> torch.Tensor:
        return self.weight_variance * products + self.bias_variance

    def of_products(
        self, s: torch.Tensor, p: torch.Tensor, q: torch.Tensor, own: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return NNGP and NTK (..., n, m) from what the first layer gives.

        `s` (..., n, m) holds s(x, z); `p` (..., n) and `q` (..., m) hold s(x, x) and s(z, z), see `variance`.
        `own` says that both sides are the same points. For those who form the products themselves, in blocks.
        """
        ntk = s
        for _ in range(self.depth):
            k1, k0 = _ArcCosine.apply(s, p, q, own)
            nngp = self._affine(k1)
            ntk = torch.addcmul(nngp, ntk, k0, value=self.weight_variance)
            s, p, q = nngp, self._affine(p / 2), self._affine(q / 2)
        return s, ntk

    def _kernels(self, x: torch.Tensor, z: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        other = x if z is None else z
        _check(x, other)
        products = _Gram.apply(x) if z is None else x @ z.transpose(-1, -2)
        s = self._affine(products / x.shape[-1])
        return self.of_products(s, self.variance(x), self.variance(other), z is None)


class _Gram(torch.autograd.Function):
    """x x^T (..., n, n) of x (..., n, d), with one product in the backward pass instead of two."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        return x @ x.transpose(-1, -2)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, grad: torch.Tensor) -> torch.Tensor:
        (x,) = ctx.saved_tensors
        return (grad + grad.transpose(-1, -2)) @ x


class _ArcCosine(torch.autograd.Function):
    """k1 and k0 of s (..., n, m), given the variances p (..., n) and q (..., m) of either side.

    `own`: both sides are the same points, so the angle of the diagonal is 0. The backward pass is written
    out: through acos and sqrt it would be infinite, then not a number, where two points are parallel.
    """

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx,
        s: torch.Tensor,
        p: torch.Tensor,
        q: torch.Tensor,
        own: bool,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        root_p, root_q = p.sqrt()[..., :, None], q.sqrt()[..., None, :]
        cosine = (_inverse(root_p) * _inverse(root_q)).mul_(s).clamp_(-1, 1)
        if own:
            cosine.diagonal(dim1=-2, dim2=-1).fill_(1)
        k0 = cosine.acos().div_(-2 * math.pi).add_(0.5)
        sine = (1 - cosine.square()).sqrt_()
        ctx.save_for_backward(root_p, root_q, cosine, sine, k0)
        return torch.addcmul(s * k0, root_p * root_q, sine, value=1 / (2 * math.pi)), k0

    @staticmethod
    def backward(
        ctx: torch.autograd.function.FunctionCtx, *grads: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None, None]:
        grad_1, grad_0 = grads
        root_p, root_q, cosine, sine, k0 = ctx.saved_tensors
        smallest = math.sqrt(_PARALLEL * torch.finfo(sine.dtype).eps)
        through_0 = torch.where(sine > smallest, grad_0 / (2 * math.pi * sine), 0)
        through_1 = grad_1 * sine * root_p * root_q / (2 * math.pi)
        inverse_p, inverse_q = _inverse(root_p), _inverse(root_q)
        variances = through_1.addcmul_(through_0, cosine, value=-1)
        grad_p = variances.sum(-1).mul_(inverse_p[..., 0].square() / 2)
        grad_q = None
        if ctx.needs_input_grad[2]:
            grad_q = variances.sum(-2).mul_(inverse_q[..., 0, :].square() / 2)
        return torch.addcmul(grad_1 * k0, through_0 * inverse_p, inverse_q), grad_p, grad_q, None


def _inverse(root: torch.Tensor) -> torch.Tensor:
    """Return 1 / root, 0 where it is 0: an image of variance 0 has no angle and adds nothing."""
    return torch.where(root > 0, 1 / root, 0)


def _check(x: torch.Tensor, z: torch.Tensor) -> None:
    for images in (x, z):
        if images.dtype != torch.float64 or images.dim() < 2 or images.shape[-1] != x.shape[-1]:
            raise ValueError(
                f"images {x.dtype} {tuple(x.shape)} and {z.dtype} {tuple(z.shape)}: allowed are float64, "
                "(..., n, d) and (..., m, d) of the same d"
            )
