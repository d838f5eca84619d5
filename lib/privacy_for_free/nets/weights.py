"""The weights that are given to a network, checked by name, shape and dtype against those that it draws."""

from collections.abc import Mapping
from functools import cache

import torch

from privacy_for_free.core import plain
from privacy_for_free.nets.networks import Network, Weights


def check(
    network: Network, weights: Weights, dtype: torch.dtype, name: str = "parameters", of: str = "logits"
) -> None:
    """Refuse weights that are not those of one network: of other names or shapes, or not of this dtype.

    name   what the argument is called
    of     "logits"; or "features", for which the weights of the classifier may be left out

    ValueError names the first weight that does not fit, and what is allowed.
    """
    least, every = _shapes(network)
    needed = every if of == "logits" else least
    if missing := [key for key in needed if key not in weights]:
        raise ValueError(f"{name} without {missing[0]!r}: allowed are the weights {', '.join(needed)}")
    for key, value in weights.items():
        if key not in every:
            raise ValueError(f"{name} with {key!r}: allowed are the weights {', '.join(every)}")
        if value.shape != every[key] or value.dtype != dtype:
            raise ValueError(
                f"{name}[{key!r}] {value.dtype} {tuple(value.shape)}: allowed is {dtype} "
                f"{tuple(every[key])}, for the weights of one {network!r}"
            )


def plain_weights(
    network: Network, given: object, dtype: torch.dtype, name: str, of: str = "features"
) -> Weights:
    """Return weights that come one after the other, made plain, finite and checked; otherwise as `check`."""
    if not isinstance(given, Mapping):
        raise plain.refused(name, given, "is a dictionary of tensors")
    made = {key: plain.tensor(f"{name}[{key!r}]", value) for key, value in given.items()}
    check(network, made, dtype, name, of)
    return made


@cache
def _shapes(network: Network) -> tuple[dict[str, torch.Size], dict[str, torch.Size]]:
    """Return the shapes of a network's weights by name: those of its features, and those of its logits."""
    stream = torch.Generator()
    both = (network.initial(stream, classifier=classifier) for classifier in (False, True))
    features, logits = ({name: value.shape for name, value in drawn.items()} for drawn in both)
    return features, logits
