import pytest
import torch
from tests.attacks.optimality import material

from privacy_for_free.attacks import optimality
from privacy_for_free.attacks.roc import auc, tpr_at_fpr


def shadow(purpose: str):
    extractors, pool, _, released = material.planted()
    return optimality.equations(extractors, pool, released, material.MEMBERS), material.half(purpose)


def test_the_best_on_the_shadows_is_chosen():
    shadows = [shadow("members"), shadow("others")]
    ridges = (1e-6, 1e-2, 10.0)
    choice = optimality.choose(ridges, shadows)
    rates = {}
    for ridge in ridges:
        for whiten in (False, True):
            for box in (False, True):
                found = [(optimality.solve(one, ridge, whiten, box), members) for one, members in shadows]
                tpr = sum(tpr_at_fpr(scores, members, 0.01)[0] for scores, members in found) / 2
                area = sum(auc(scores, members) for scores, members in found) / 2
                rates[ridge, whiten, box] = (tpr, pytest.approx(area))
    assert (choice.tpr, choice.auc) == rates[choice.ridge, choice.whiten, choice.box]
    assert all(choice.tpr >= tpr for tpr, _ in rates.values())


def test_what_is_no_shadow_is_refused():
    made, members = shadow("members")
    with pytest.raises(ValueError, match=r"^shadows \[\]: allowed are one or more, in a list"):
        optimality.choose((0.1,), [])
    with pytest.raises(ValueError, match=r"^shadows: members torch.int64 \(12,\); allowed are bool, 12 cand"):
        optimality.choose((0.1,), [(made, members.long())])
    with pytest.raises(ValueError, match=r"^members: 12 of 12: allowed are some, but not all"):
        optimality.choose((0.1,), [(made, torch.ones_like(members))])
