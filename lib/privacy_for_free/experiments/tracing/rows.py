"""The rows of `tracing`: what an attack reaches on each population, and what theory predicts of it."""

from collections.abc import Iterator

import numpy as np
import torch

from privacy_for_free.attacks import roc
from privacy_for_free.attacks.tracing import Scores
from privacy_for_free.core.randomness import derived_seed
from privacy_for_free.shadows import Pool
from privacy_for_free.theory import tracing_prediction

FPR = 0.001  # at which one TPR is given


def calibrated(scores: Scores) -> Iterator[tuple[dict[str, object], torch.Tensor]]:
    """Yield the columns and the values, K x N, of both calibrations."""
    columns = {"shrinkage": scores.shrinkage, "shrinkage_used": scores.shrinkage_used}
    yield columns | {"calibration": "raw"}, scores.raw
    yield columns | {"calibration": "standardised"}, scores.standardised


def predicted(
    prediction: tracing_prediction.Prediction, spread: torch.Tensor | None, fprs: tuple[float, ...]
) -> dict[str, object]:
    """Return the columns of the predictions, of scores divided by `spread` (N) if one is given."""
    scale = 1.0 if spread is None else spread[prediction.places].cpu().numpy()
    columns: dict[str, object] = {"effect": prediction.effect}
    for name, law in (("predicted", prediction.leading), ("exact", prediction.exact)):
        rates = tracing_prediction.rates(law, fprs, scale)
        columns[f"{name}_tpr"] = float(rates.tpr[fprs.index(FPR)])
        columns[f"{name}_auc"] = rates.auc
        columns[f"{name}_roc"] = " ".join(f"{rate:.8g}" for rate in rates.tpr)
    return columns


def attacked(
    common: dict[str, object],
    scores: torch.Tensor,
    pool: Pool,
    started: torch.Tensor | None,
    fprs: tuple[float, ...],
    resamples: int,
    seed: int,
) -> Iterator[dict[str, object]]:
    """Yield one row per population: all pairs, or those whose members a release did (not) start from.

    scores   K x N, of every pair of a release and a pool image
    started  bool, K x N: which images a release started from; None for releases that start from noise
    """
    scores, inside = scores.cpu(), pool.membership
    populations = {"all": torch.ones_like(inside)}
    if started is not None:
        populations["in_initialisation"] = ~inside | started
        populations["not_in_initialisation"] = ~inside | ~started
    strict = fprs.index(FPR)
    for name, counted in populations.items():
        values, members = scores[counted], inside[counted]
        rates, exceeded = roc.tprs_at_fprs(values, members, fprs)
        drawn = roc.bootstrap_rates(
            scores > exceeded[strict], inside, counted, derived_seed(seed, "bootstrap"), resamples
        )[:, 0]
        yield common | {
            "population": name,
            "fpr": FPR,
            "observed_tpr": rates[strict].value,
            "low": rates[strict].low,
            "high": rates[strict].high,
            "tpr_bootstrap_low": float(np.nanquantile(drawn, 0.025)),
            "tpr_bootstrap_high": float(np.nanquantile(drawn, 0.975)),
            "auc": roc.auc(values, members),
            "roc": " ".join(f"{rate.value:.8g}" for rate in rates),
            "members": int(members.sum()),
            "nonmembers": int((~members).sum()),
            "targets": pool.shadows,
        }
