"""Random generators derived from (seed, purpose, index), so that no draw depends on any other.

A generator is named by what it is for. Two purposes, or two indices of one purpose, never share a stream;
a piece of work that is run alone, again, or on another worker sees the numbers it would have seen in the
whole run. The global generators of torch, numpy and random are never touched.
"""

import hashlib

import numpy as np
import torch

from privacy_for_free.core import validate


def derived_seed(seed: int, purpose: str, *index: int | str) -> int:
    """Return a 63-bit seed for one purpose: the first bytes of SHA-256 of the arguments.

    >>> derived_seed(0, "extractor", 3)
    1204583687405388611
    """
    name = "\x1f".join([str(validate.whole("seed", seed)), purpose, *map(str, index)])
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") >> 1


def generator(
    seed: int, purpose: str, *index: int | str, device: str | torch.device = "cpu"
) -> torch.Generator:
    """Return a torch generator on `device` for one purpose.

    >>> a = torch.rand(2, generator=generator(0, "noise"))
    >>> b = torch.rand(2, generator=generator(0, "noise"))
    >>> bool((a == b).all())
    True
    """
    return torch.Generator(device=device).manual_seed(derived_seed(seed, purpose, *index))


def numpy_generator(seed: int, purpose: str, *index: int | str) -> np.random.Generator:
    """Return a numpy generator for one purpose, independent of the torch generator of the same name."""
    return np.random.default_rng(derived_seed(seed, purpose, *index, "numpy"))
