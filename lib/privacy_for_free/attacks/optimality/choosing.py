"""Which ridge, chosen on shadows: halves whose members the attacker knows, never on the target."""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from privacy_for_free.attacks.optimality.solving import solve_all
from privacy_for_free.attacks.optimality.system import Equations
from privacy_for_free.attacks.roc import auc, tpr_at_fpr
from privacy_for_free.core.entrance import entrance

FPR = 0.01


class Choice(NamedTuple):
    """What was best on the shadows, and how good: means over them.

    ridge, whiten, box   arguments of `solve`
    tpr, auc             TPR at an FPR of FPR, and AUC
    """

    ridge: float
    whiten: bool
    box: bool
    tpr: float
    auc: float


@entrance
def choose(
    ridges: Sequence[float],
    shadows: Sequence[tuple[Equations, torch.Tensor]],
    whiten: Sequence[bool] = (False, True),
    box: Sequence[bool] = (False, True),
) -> Choice:
    """Return the settings with the highest mean TPR at an FPR of FPR over the shadows; among equals by AUC.

    shadows  equations of other halves of the same size, condensed in the same way, and who their members
             are: bool, N
    whiten, box  which of them to try

    ValueError without a shadow, and for shadows whose members are all or none of the candidates.
    """
    for name, given in (("shadows", shadows), ("whiten", whiten), ("box", box)):
        if not isinstance(given, list | tuple) or not given:
            raise ValueError(f"{name} {given!r:.80}: allowed are one or more, in a list or a tuple")
    for equations, members in shadows:
        if members.dtype != torch.bool or members.shape != (equations.candidates,):
            raise ValueError(
                f"shadows: members {members.dtype} {tuple(members.shape)}; allowed are bool, "
                f"{equations.candidates} candidates"
            )
    best = None
    for weigh in whiten:
        for bounded in box:
            rows = [_rates(*shadow, ridges, weigh, bounded) for shadow in shadows]
            rates = torch.tensor(rows, dtype=torch.float64).mean(0)
            for ridge, (tpr, area) in zip(ridges, rates.tolist(), strict=True):
                found = Choice(ridge, weigh, bounded, tpr, area)
                if best is None or (found.tpr, found.auc) > (best.tpr, best.auc):
                    best = found
    return best


def _rates(
    equations: Equations, members: torch.Tensor, ridges: Sequence[float], whiten: bool, box: bool
) -> list[tuple[float, float]]:
    scores = solve_all(equations, ridges, whiten, box)
    return [(float(tpr_at_fpr(one, members, FPR)[0]), auc(one, members)) for one in scores]
