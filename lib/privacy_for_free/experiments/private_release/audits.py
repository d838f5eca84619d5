"""Audits: a mechanism's worst case, run again and again as it should be and broken in two ways."""

import time
from collections.abc import Iterator

from privacy_for_free.core.randomness import derived_seed
from privacy_for_free.experiments.private_release.design import AUDIT, Design
from privacy_for_free.private import calibrated, worst_case
from privacy_for_free.private.accounting import DELTA, Mechanism
from privacy_for_free.private.audit import audit

KEPT, QUIET, REPEATED = "", "a hundredth of the noise", "the same noise in every run"


def rows(mechanism: str, design: Design, seed: int) -> Iterator[dict[str, object]]:
    """Audit one noisy sum of a mechanism at each epsilon; one row for each epsilon and way to break it."""
    rate = worst_case.MECHANISMS[mechanism][1]
    for epsilon in design.audit_epsilons:
        proved = calibrated.least_noise(Mechanism(0.0, 1, rate), epsilon)
        for broken in (KEPT, QUIET, REPEATED):
            noise_multiplier = proved.noise_multiplier / (100 if broken == QUIET else 1)

            def seed_of(index: int, present: bool, broken: str = broken) -> int:
                if broken == REPEATED:
                    return derived_seed(seed, "audit")
                return derived_seed(seed, "audit", index, int(present))

            began = time.perf_counter()
            statistic = worst_case.statistic(mechanism, noise_multiplier, seed_of)
            outcome = audit(statistic, design.audit_runs, design.audit_pilots, DELTA)
            yield account(epsilon, proved, calibrated.epsilons(proved)) | {
                "kind": AUDIT,
                "mechanism": mechanism,
                "seed": seed % 10**6,
                "broken": broken,
                "noise_multiplier": noise_multiplier,
                "epsilon_audited": outcome.epsilon,
                "runs": outcome.runs,
                "true_positives": outcome.true_positives,
                "false_positives": outcome.false_positives,
                "seconds": time.perf_counter() - began,
            }


def account(epsilon: float, mechanism: Mechanism, epsilons: calibrated.Epsilons) -> dict[str, object]:
    """Return the columns that say what was proved, and how else it may be put; without noise nothing is."""
    columns = {
        "epsilon": epsilon,
        "delta": epsilons.delta,
        "noise_multiplier": mechanism.noise_multiplier,
        "steps": mechanism.steps,
        "rate": mechanism.rate,
    }
    if mechanism.noise_multiplier > 0:
        columns["epsilon_rdp"] = epsilons.renyi
        columns["epsilon_replace_one"] = epsilons.replace_one
    return columns
