"""What an attacker measures of a model on an example, and the checks every attack makes of it."""

import torch
from torch.nn.functional import cross_entropy

from privacy_for_free.core.entrance import entrance

MINIMUM_MODELS = 4  # a target, and for an example two on one side and one on the other


@entrance
def logit_scaled_confidence(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return log(p / (1 - p)), p the softmax probability of the label: float64, of the shape of `labels`.

    logits  float, ... x classes; labels int64, ...
    Carlini et al., Membership Inference Attacks From First Principles, S&P 2022, section IV.C, in the
    form of their appendix: z_y - log(sum of exp z_c over the other classes c). Nothing is rounded to 0 or 1
    on the way, however sure the model is. ValueError for fewer than two classes.
    """
    if logits.shape[-1] < 2 or logits.shape[:-1] != labels.shape:
        raise ValueError(
            f"logits {tuple(logits.shape)} for labels {tuple(labels.shape)}: allowed are two classes "
            "or more, and a row of logits for each label"
        )
    logits = logits.double()
    label = logits.gather(-1, labels[..., None])
    others = logits.scatter(-1, labels[..., None], -torch.inf)
    return label[..., 0] - others.logsumexp(-1)


@entrance
def loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the cross-entropy: float64, of the shape of `labels` (int64, ...); logits are ... x classes.

    What `threshold.scores` takes, for whoever attacks models of their own. The book's experiments compute the
    loss from the logit-scaled confidence instead, and the tests check one against the other.
    """
    return cross_entropy(logits.double().flatten(0, -2), labels.flatten(), reduction="none").view(
        labels.shape
    )


def check(statistics: torch.Tensor, membership: torch.Tensor, inside: int = 0, outside: int = 0) -> None:
    """Refuse statistics that no attack can use; ValueError names the model or the example.

    statistics  float, K x N or K x N x queries, finite
    membership  bool, K x N, K at least MINIMUM_MODELS
    inside, outside   how many models an example must be in, and out of, when any one is taken away as target
    """
    if membership.dim() != 2 or membership.dtype != torch.bool:
        shape = f"{membership.dtype} {tuple(membership.shape)}"
        raise ValueError(f"membership {shape}: allowed is bool, models x examples")
    if statistics.dim() not in (2, 3) or statistics.shape[:2] != membership.shape:
        raise ValueError(
            f"statistics {tuple(statistics.shape)} for membership {tuple(membership.shape)}: allowed is one "
            "number, or a row of queries, for each model and example"
        )
    models = len(membership)
    if models < MINIMUM_MODELS:
        raise ValueError(f"{models} models: allowed are {MINIMUM_MODELS} or more, a target and its shadows")
    finite = torch.isfinite(statistics)
    if not bool(finite.all()):
        model, example = (~finite).nonzero()[0, :2].tolist()
        raise ValueError(f"statistics: that of model {model} on example {example} is not finite")
    for side, name, least in ((membership, "in", inside), (~membership, "out of", outside)):
        few = (side.sum(0) <= least).nonzero()
        if least and len(few):
            example = int(few[0])
            raise ValueError(
                f"example {example} is {name} {int(side[:, example].sum())} of {models} models: "
                f"allowed are {least + 1} or more, so that {least} remain when one is the target"
            )
