"""Random linear extractors (count, k, d), whose entries are independent, of mean 0 and one variance."""

import math

import torch

from privacy_for_free.core import validate
from privacy_for_free.core.entrance import entrance
from privacy_for_free.theory import checks

LAWS = ("gaussian", "rademacher", "uniform")


@entrance
def random_extractors(
    count: int,
    k: int,
    d: int,
    generator: torch.Generator,
    *,
    variance: float = 1.0,
    law: str = "gaussian",
    dtype: torch.dtype = torch.float64,
) -> torch.Tensor:
    """Draw `count` extractors (count, k, d): independent entries of mean 0 and the given variance.

    `law` is gaussian, rademacher (+-1) or uniform: the minimisers (1.1) need only mean and variance, the
    mean-square statements (1.2) need the gaussian.
    """
    validate.one_of("law", law, LAWS)
    checks.setting(count=count, k=k, d=d, variance=variance)
    _check_dtype(dtype)
    checks.memory(f"count {count}, k {k}, d {d}", count * k * d)
    shape, device = (count, k, d), generator.device
    if law == "gaussian":
        theta = torch.randn(shape, generator=generator, dtype=dtype, device=device)
    elif law == "rademacher":
        theta = torch.randint(0, 2, shape, generator=generator, device=device).to(dtype) * 2 - 1
    else:
        theta = (torch.rand(shape, generator=generator, dtype=dtype, device=device) * 2 - 1) * math.sqrt(3)
    return theta * math.sqrt(variance)


@entrance
def balanced_extractors(
    k: int, d: int, generator: torch.Generator, *, variance: float = 1.0, dtype: torch.dtype = torch.float64
) -> torch.Tensor:
    """A finite set of extractors (R, k, d) whose average of theta^T theta is v k I to rounding.

    The rows run cyclically through a random orthonormal basis of R^d, scaled by sqrt(v d), until every basis
    vector has been used equally often: R = lcm(d, k) / k. Averaging the loss over this set is then the
    expectation over theta, so the statements about the expected loss can be checked exactly.
    """
    checks.setting(k=k, d=d, variance=variance)
    _check_dtype(dtype)
    checks.memory(f"k {k}, d {d}", d * max(d, math.lcm(d, k)))
    gaussian = torch.randn((d, d), generator=generator, dtype=dtype, device=generator.device)
    basis = torch.linalg.qr(gaussian).Q * math.sqrt(variance * d)
    rows = torch.arange(math.lcm(d, k), device=generator.device) % d
    return basis[rows].reshape(-1, k, d)


def _check_dtype(dtype: torch.dtype) -> None:
    if dtype not in (torch.float32, torch.float64):
        raise ValueError(f"dtype {dtype}: allowed are torch.float32 and torch.float64")
