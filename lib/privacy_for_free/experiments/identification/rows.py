"""The rows of `identification`: rates of an attack on the releases of several halves and classes."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from privacy_for_free.attacks import roc
from privacy_for_free.attacks.identification import Identification
from privacy_for_free.stats import intervals
from privacy_for_free.theory import tracing

FPRS = {"percent": 0.01, "permille": 0.001}


class Game(NamedTuple):
    """The releases of one class: scores and truth, K x N, what was identified, K, seconds of each."""

    scores: torch.Tensor
    inside: torch.Tensor
    results: Sequence[Identification] | None
    seconds: float


def judged(games: Sequence[Game], mu: float | None) -> dict[str, object]:
    """Return the columns of one attack on one release of all classes; under noise of this mu the caps too."""
    scores, inside = (torch.cat([game[part] for game in games], 1) for part in (0, 1))
    rates, exceeded = roc.tprs_at_fprs(scores, inside, tuple(FPRS.values()))
    aucs = [roc.auc(one, members) for one, members in zip(scores, inside, strict=True)]
    row = {"auc": roc.auc(scores, inside)} | _over_halves("auc", aucs)
    for (name, fpr), rate, threshold in zip(FPRS.items(), rates, exceeded, strict=True):
        called = ((scores > threshold) & inside).sum(1) / inside.sum(1)
        row |= {f"tpr_{name}": rate.value, f"tpr_{name}_low": rate.low, f"tpr_{name}_high": rate.high}
        row |= _over_halves(f"tpr_{name}", called.tolist())
        row |= {} if mu is None else {f"cap_{name}": float(tracing.tpr(fpr, mu))}
    named, right = (np.array([part(game) for game in games]) for part in (_named, _right))  # classes x K
    for name, shares in (("named", named), ("right", right)):
        row |= {name: float(shares.mean())} | _over_halves(name, shares.mean(0))
    row |= {
        "all_right": float((right == 1).mean()),
        "seconds": sum(game.seconds for game in games) / len(games),
    }
    row |= {"members": int(inside.sum()), "nonmembers": int((~inside).sum())}
    if games[0].results is None:
        return row
    found = [(one, truth) for game in games for one, truth in zip(game.results, game.inside, strict=True)]
    methods = Counter(one.method for one, _ in found)
    row["methods"] = ", ".join(f"{name}: {methods[name]}" for name in sorted(methods))
    row["decided"] = float(np.mean([one.decided.double().mean() for one, _ in found]))
    row["wrongly_decided"] = sum(int((one.decided & (one.chosen != truth)).sum()) for one, truth in found)
    return row


def _over_halves(name: str, values: Sequence[float]) -> dict[str, float]:
    """Return the ends of the interval over halves, within 0 to 1."""
    found = intervals.mean(values)
    low, high = (min(1.0, max(0.0, end)) if math.isfinite(end) else end for end in found[1:])
    return {f"{name}_low_halves": low, f"{name}_high_halves": high}


def _named(game: Game) -> list[float]:
    most = game.scores.masked_fill(game.inside, -math.inf).amax(1, keepdim=True)
    return (((game.scores > most) & game.inside).sum(1) / game.inside.sum(1)).tolist()


def _right(game: Game) -> list[float]:
    order = game.scores.argsort(dim=1, descending=True, stable=True)
    ranked = game.inside.gather(1, order)
    n = int(game.inside[0].sum())
    return (1 - 2 * (~ranked[:, :n]).sum(1) / game.inside.shape[1]).tolist()
