"""Figures, tables, numbers and verdicts of the chapter "Membership inference".

The chapter plays the game live and has no record: what is drawn is a pool, what the networks say of it, and
`outcomes`, those of the attacks by the names of NAMES over all pairs of a network and an image.
"""

from collections.abc import Mapping

import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from privacy_for_free.attacks import power, threshold
from privacy_for_free.attacks.evaluation import FPRS, Outcome
from privacy_for_free.book import figures
from privacy_for_free.data import Dataset
from privacy_for_free.shadows import Answers, Pool
from privacy_for_free.stats.intervals import rate

NAMES = {
    "loss": "loss threshold",
    "lira_online": "LiRA, online",
    "lira_online_fixed": "LiRA, online, fixed variance",
    "lira_offline": "LiRA, offline",
    "lira_offline_fixed": "LiRA, offline, fixed variance",
}
LOSS, LIRA = "loss", "lira_online_fixed"  # the two that the prose compares
FEW_FALSE_ALARMS = FPRS.index(0.01)
CLEAR_AUC = 0.6  # an area under the curve from which on the chapter says that a network tells


def easy_and_hard(confidence: torch.Tensor, member: torch.Tensor) -> tuple[int, int]:
    """Return the image of which networks that did not see it are surest, and one that they get right only so.

    The second has the largest gap between the mean confidences of networks that saw it and of those that did
    not, among the images that the former are right about with a mean confidence above 1.
    """
    inside = (confidence * member).sum(0) / member.sum(0)
    outside = (confidence * ~member).sum(0) / (~member).sum(0)
    gap = (inside - outside).where(inside > 1, -torch.inf)
    return int(outside.argmax()), int(gap.argmax())


def figure_two_worlds(pool: Pool, confidence: torch.Tensor, dataset: Dataset) -> Figure:
    """Draw the confidences in an easy and in a hard image, by whether the network saw it.

    confidence  logit-scaled, float64, networks x images of the pool; the pool is standardised, of `dataset`
    """
    member = pool.membership
    mean, std = dataset.mean[:, None, None], dataset.std[:, None, None]
    cut = threshold.best_threshold(confidence, member)
    figure, axes = figures.panels(2, height=2.9, sharex=True)
    names = ("an easy image", "a hard image")
    for axis, index, name in zip(axes, easy_and_hard(confidence, member), names, strict=True):
        _draw_worlds(axis, confidence[:, index], member[:, index])
        axis.axvline(cut, color="black", linestyle=":")
        axis.set(title=name, xlabel="logit-scaled confidence φ")
        picture = pool.images[index] * std + mean
        figures.pictures(axis.inset_axes([0.02, 0.62, 0.25, 0.36]), picture, tuple(picture.shape))
    axes[0].set_ylabel("networks")
    axes[1].legend(title="networks that", loc="upper right")
    return figure


def _draw_worlds(axis: Axes, confidence: torch.Tensor, member: torch.Tensor) -> None:
    for place, (side, label) in enumerate(((member, "saw it"), (~member, "did not"))):
        style = {"color": figures.COLOURS[place], "alpha": 0.65, "hatch": "//" if place else ""}
        axis.hist(confidence[side], bins=24, range=(-12, 12), label=label, **style)


def figure_roc(outcomes: Mapping[str, Outcome]) -> Figure:
    """Draw the ROC curves of the attacks on logarithmic axes."""
    figure, axes = figures.panels(1, height=3.9)
    for index, (name, label) in enumerate(NAMES.items()):
        outcome = outcomes[name]
        figures.roc(axes[0], FPRS, outcome.curve, outcome.members, label, index)
    axes[0].plot([1e-4, 1], [1e-4, 1], color="black", linestyle=":", linewidth=1, label="guessing")
    axes[0].set(xscale="log", yscale="log", xlim=(1e-3, 1), ylim=(3e-4, 1))
    axes[0].set(xlabel="false positive rate", ylabel="true positive rate")
    axes[0].legend(loc="lower right")
    return figure


def table_attacks(outcomes: Mapping[str, Outcome]) -> pd.DataFrame:
    """AUC, advantage and TPR at an FPR of 1 % of each attack."""
    rows = {}
    for name, label in NAMES.items():
        outcome = outcomes[name]
        rows[label] = {
            "AUC": f"{outcome.auc:.2f}",
            "advantage": figures.interval(*outcome.advantage),
            "TPR at 1 % FPR": f"{outcome.curve[FEW_FALSE_ALARMS]:.1%}",
        }
    return pd.DataFrame(rows).T


def table_rates() -> pd.DataFrame:
    """Exact intervals of a rate of 0.1 % from ever more trials."""
    counts = {"1 of 1,000": (1, 1000), "5 of 5,000": (5, 5000), "25 of 25,000": (25, 25_000)}
    rates = {name: rate(*count) for name, count in counts.items()}
    texts = {name: f"[{found.low:.3%}, {found.high:.3%}]" for name, found in rates.items()}
    return pd.Series(texts, name="95 % interval").to_frame()


def numbers(answers: Answers, member: torch.Tensor, outcomes: Mapping[str, Outcome]) -> dict[str, object]:
    """Return the numbers of the prose, accuracies and rates in percent; `member`: bool, networks x images."""
    correct = answers.correct
    loss, lira = outcomes[LOSS], outcomes[LIRA]
    return {
        "models": len(member),
        "pool": member.shape[1],
        "accuracy.members": 100 * correct[member].double().mean(),
        "accuracy.others": 100 * correct[~member].double().mean(),
        "loss.auc": loss.auc,
        "lira.auc": lira.auc,
        "loss.tpr": 100 * loss.curve[FEW_FALSE_ALARMS],
        "lira.tpr": 100 * lira.curve[FEW_FALSE_ALARMS],
        "members_needed": power.members_needed(0.003),  # above 0.1 %; level 5 %, two-sided; power 80 %
    }


def verdicts(outcomes: Mapping[str, Outcome]) -> dict[str, float]:
    """Return margins: LiRA tells, and the loss finds half of what LiRA does at few false alarms."""
    loss, lira = outcomes[LOSS], outcomes[LIRA]
    return {
        "verdict.tells": lira.auc - CLEAR_AUC,
        "verdict.loss": loss.curve[FEW_FALSE_ALARMS] - lira.curve[FEW_FALSE_ALARMS] / 2,
    }
