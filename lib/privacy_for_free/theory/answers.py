"""What the functions that a caller gives have returned: checked before anything is computed with it."""

from collections.abc import Callable

import torch

from privacy_for_free.core import plain
from privacy_for_free.core.errors import DivergenceError


def returned(name: str, value: object, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """Return what a function of the caller has returned, if it is as stated; ValueError otherwise.

    name    of the function, and what it was called with, as in "extractors(3)"
    shape   the sizes allowed, where 0 stands for any from 1 up
    dtype   one of floats: all values are finite then; or int64

    >>> returned("batches(0)", [1, 2], (0,), torch.int64)
    Traceback (most recent call last):
    ValueError: batches(0) list [1, 2]: allowed is a torch tensor or a numpy array
    """
    made = plain.tensor(name, value)
    if dtype is torch.int64 and not made.is_floating_point() and made.dtype is not torch.bool:
        made = made.long()
    fits = len(made.shape) == len(shape) and all(
        (size == wanted if wanted else size > 0) for size, wanted in zip(made.shape, shape, strict=True)
    )
    if not fits or made.dtype != dtype:
        wanted = " x ".join(str(size) if size else "any number" for size in shape)
        raise ValueError(f"{name} {made.dtype} {tuple(made.shape)}: allowed is {dtype}, {wanted}")
    return made


def finite(name: str, value: torch.Tensor, what: str) -> torch.Tensor:
    """Return a tensor of finite numbers; DivergenceError names the step and what went wrong otherwise."""
    if not bool(value.isfinite().all()):
        raise DivergenceError(f"{name}: {what} is not finite any more: allowed are smaller step sizes")
    return value


def features(
    name: str, extractor: Callable[[torch.Tensor], torch.Tensor], rows: torch.Tensor, width: int = 0
) -> None:
    """Refuse an extractor that makes of rows (..., d) no finite features of one width, 0 for any."""
    flat = rows.flatten(0, -2)
    found = extractor(flat)
    if not isinstance(found, torch.Tensor):
        raise plain.refused(name, found, "is a torch tensor")
    returned(name, found, (len(flat), width), rows.dtype)


def extractors(draw: Callable[[int], torch.Tensor], step: int, real: torch.Tensor) -> torch.Tensor:
    """Return the linear extractors (R, k, d) of a step, for real images (n, d); ValueError for others."""
    return returned(f"extractors({step})", draw(step), (0, 0, real.shape[1]), real.dtype)


def batch(draw: Callable[[int], torch.Tensor], step: int, n: int) -> torch.Tensor:
    """Return the indices, int64, of the real images of a step; ValueError for some of none of n images."""
    rows = returned(f"batches({step})", draw(step), (0,), torch.int64)
    if int(rows.min()) < 0 or int(rows.max()) >= n:
        raise ValueError(f"batches({step}) {int(rows.min())} to {int(rows.max())}: allowed are 0 to {n - 1}")
    return rows


def optimiser(
    make: Callable[[list[torch.Tensor]], torch.optim.Optimizer], moved: torch.Tensor
) -> torch.optim.Optimizer:
    """Return the optimiser that is made for one tensor; ValueError for one of others, or something else."""
    made = make([moved])
    if isinstance(made, torch.optim.Optimizer):
        mine = [one for group in made.param_groups for one in group["params"]]
        if len(mine) == 1 and mine[0] is moved:
            return made
    raise plain.refused("optimiser([S])", made, "is a torch optimiser of S alone")
