"""What an attacker measures of a model on an example, and the checks every attack makes of it."""

import torch
from torch.nn.functional import cross_entropy

from privacy_for_free.core.entrance import entrance

MINIMUM_MODELS = 4  # a target, and for an example two on one side and one on the other


@entrance(shapes="logits ... classes, labels ...")
def logit_scaled_confidence(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return log(p / (1 - p)), p the softmax probability of the label: float64, of the shape of `labels`.

    logits  float, ... x classes; labels int64, ...
    Carlini et al., Membership Inference Attacks From First Principles, S&P 2022, section IV.C, in the
    form of their appendix: z_y - log(sum of exp z_c over the other classes c). Nothing is rounded to 0 or 1
    on the way, however sure the model is. ValueError for fewer than two classes, and for a label of no class.
    """
    if logits.shape[-1] < 2:
        raise ValueError(f"logits {tuple(logits.shape)}: allowed are ... x classes, two classes or more")
    check_labels(labels, logits.shape[-1])
    logits = logits.double()
    label = logits.gather(-1, labels[..., None])
    others = logits.scatter(-1, labels[..., None], -torch.inf)
    return label[..., 0] - others.logsumexp(-1)


@entrance(shapes="logits ... classes, labels ...")
def loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the cross-entropy: float64, of the shape of `labels` (int64, ...); logits are ... x classes.

    What `threshold.scores` takes, for whoever attacks models of their own. The book's experiments compute the
    loss from the logit-scaled confidence instead, and the tests check one against the other.
    """
    check_labels(labels, logits.shape[-1])
    return cross_entropy(logits.double().flatten(0, -2), labels.flatten(), reduction="none").view(
        labels.shape
    )


def check_labels(labels: torch.Tensor, classes: int) -> None:
    """Refuse labels (int64, from 0 up) that are no class of so many; ValueError names the largest."""
    if labels.numel() and (largest := int(labels.max())) >= classes:
        raise ValueError(f"labels up to {largest}: allowed are 0 to {classes - 1}")


def check_models(membership: torch.Tensor, inside: int = 0, outside: int = 0) -> None:
    """Refuse models of which no attack can learn; ValueError names their number, or the example.

    membership  bool, K x N, K at least MINIMUM_MODELS
    inside, outside   how many models an example must be in, and out of, when any one is taken away as target
    """
    models = len(membership)
    if models < MINIMUM_MODELS:
        raise ValueError(
            f"membership of {models} models: allowed are {MINIMUM_MODELS} or more, a target and its shadows"
        )
    for side, name, least in ((membership, "in", inside), (~membership, "out of", outside)):
        few = (side.sum(0) <= least).nonzero()
        if least and len(few):
            example = int(few[0])
            raise ValueError(
                f"membership: example {example} is {name} {int(side[:, example].sum())} of {models} models: "
                f"allowed are {least + 1} or more, so that {least} remain when one is the target"
            )
