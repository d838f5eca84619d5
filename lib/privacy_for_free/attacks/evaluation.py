"""The attacks by name, each model in turn the target, and what they reach on a population, with intervals.

The threshold that turns a target's scores into calls is chosen without the target: its shadows are attacked
by each other, with the target's model and members in no part of it, and the threshold that is best there is
used. So the reported advantage is one that an attacker can have.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from scipy import stats
from torch.nn.functional import softplus

from privacy_for_free.attacks import lira, released_images, roc, threshold
from privacy_for_free.attacks.confidences import MINIMUM_MODELS
from privacy_for_free.core import plain, validate
from privacy_for_free.core.entrance import CLASSES, MASK, entrance
from privacy_for_free.stats.intervals import Interval

Attack = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
FPRS = tuple(float(f"{10 ** (power / 4):.3g}") for power in range(-16, 1))  # four a decade, 1e-4 to 1
SPREAD_OF_EXACT = 1e-12  # differences of rates that differ by less differ by rounding only
MINIMUM_SIDE = 4  # models in, and out, per example: target and a shadow may go, two remain for a variance


@entrance(shapes="statistics K N [queries], membership K N")
def _loss(statistics: torch.Tensor, membership: torch.Tensor) -> torch.Tensor:
    """Score by the loss, -log p = log(1 + exp(-phi)) of the logit-scaled confidence phi; queries averaged."""
    losses = softplus(-statistics.double())
    return threshold.scores(losses if losses.dim() == 2 else losses.mean(2), membership)


@entrance(shapes="statistics K N, membership K N")
def _raw(statistics: torch.Tensor, membership: torch.Tensor) -> torch.Tensor:
    """Take the statistic for the score."""
    return threshold.scores(-statistics.double(), membership)


def _lira(online: bool, variance: str) -> Attack:
    def attack(statistics: torch.Tensor, membership: torch.Tensor) -> torch.Tensor:
        return lira.scores(statistics, membership, online=online, variance=variance)

    return attack


# On networks: statistics are logit-scaled confidences, K x N or K x N x queries.
NETWORK: Mapping[str, Attack] = {
    "loss": _loss,
    "lira_online": _lira(True, "per_example"),
    "lira_online_fixed": _lira(True, "fixed"),
    "lira_offline": _lira(False, "per_example"),
    "lira_offline_fixed": _lira(False, "fixed"),
}
# On released images: the statistic as it is, or compared with what it is on the shadows' releases.
RELEASED: Mapping[str, Attack] = {"raw": _raw, "lira_online": NETWORK["lira_online"]}


class Attempt(NamedTuple):
    """An attack, and what it is run on.

    attacked    "network" or "synthetic_set": what the attacker sees
    name        of the attack in tables, such as "lira_online" or "nearest_lira_online"
    attack      statistics and membership -> scores, K x N
    statistics  float64, K x N or K x N x queries
    """

    attacked: str
    name: str
    attack: Attack
    statistics: torch.Tensor


@entrance(shapes="confidences K N [queries]")
def on_networks(confidences: torch.Tensor) -> list[Attempt]:
    """Return every attack of NETWORK, on the confidences of K networks, K x N or K x N x queries."""
    return [Attempt("network", name, attack, confidences) for name, attack in NETWORK.items()]


@entrance
def on_released_images(images: torch.Tensor, labels: torch.Tensor, synthetic: torch.Tensor) -> list[Attempt]:
    """Return every statistic of K released sets, with every attack of RELEASED.

    Arguments are those of `released_images.nearest`, of any device; the statistics are on the CPU.
    """
    attempts = []
    for name, statistic in released_images.STATISTICS.items():
        statistics = statistic(images, labels, synthetic).cpu()
        for how, attack in RELEASED.items():
            full_name = name if how == "raw" else f"{name}_{how}"
            attempts.append(Attempt("synthetic_set", full_name, attack, statistics))
    return attempts


@entrance(shapes="membership K N")
def usable(membership: torch.Tensor, least: int = MINIMUM_SIDE) -> torch.Tensor:
    """Return bool, N: the examples that are in, and out of, at least `least` of the models (bool, K x N).

    The others, those that chance put into nearly all models or nearly none, are to be left out. ValueError
    for fewer than 4 models, for a number from 0 up that is more than all, and where no example is left.
    """
    if len(membership) < MINIMUM_MODELS:
        raise ValueError(
            f"membership of {len(membership)} models: allowed are {MINIMUM_MODELS} or more, a target and "
            "its shadows"
        )
    validate.whole("least", least, 0, len(membership))
    inside = membership.sum(0)
    found = (inside >= least) & (len(membership) - inside >= least)
    if not bool(found.any()):
        raise ValueError(
            f"membership: no example is in and out of {least} of {len(membership)} models: allowed are "
            "more models, or halves that differ"
        )
    return found


@entrance(examples=CLASSES, shapes="statistics K N [queries], membership K N, examples M")
def thresholds(
    attack: Attack,
    statistics: torch.Tensor,
    membership: torch.Tensor,
    populations: Mapping[str, torch.Tensor],
    examples: torch.Tensor | None = None,
) -> dict[str, torch.Tensor]:
    """Return for each population float64, K: each target's threshold, best where its shadows are the targets.

    statistics, membership   K x N (x queries) and bool, K x N
    populations              name -> bool, K x N: which pairs count
    examples                 indices, int64, of the examples to choose by; None for all
    """
    populations = _counted(attack, populations, membership, examples)
    examples = torch.arange(membership.shape[1]) if examples is None else examples
    statistics, membership = statistics[:, examples], membership[:, examples]
    populations = {name: counted[:, examples] for name, counted in populations.items()}
    models = len(membership)
    found = {name: torch.empty(models, dtype=torch.float64) for name in populations}
    for k in range(models):
        others = torch.arange(models) != k
        scores = attack(statistics[others], membership[others])
        for name, counted in populations.items():
            found[name][k] = threshold.best_threshold(scores, membership[others], counted[others])
    return found


def _counted(
    attack: Attack,
    populations: Mapping[str, torch.Tensor],
    membership: torch.Tensor,
    examples: torch.Tensor | None,
) -> dict[str, torch.Tensor]:
    """Return the populations as tensors; ValueError where nothing is there to choose a threshold by."""
    shape, found = tuple(membership.shape), {}
    if not callable(attack):
        raise plain.refused("attack", attack, "is a function of statistics and membership")
    if not isinstance(populations, Mapping):
        raise plain.refused("populations", populations, "is a dict of names and masks")
    if len(membership) < MINIMUM_MODELS:
        raise ValueError(f"membership of {len(membership)} models: allowed are {MINIMUM_MODELS} or more")
    if examples is not None and int(examples.max()) >= shape[1]:
        raise ValueError(f"examples up to {int(examples.max())}: allowed are 0 to {shape[1] - 1}")
    for name, counted in populations.items():
        counted = found[name] = plain.tensor(f"populations[{name!r}]", counted, MASK)
        if counted.shape != membership.shape:
            came = tuple(counted.shape)
            raise ValueError(f"populations[{name!r}] {came}: allowed is {shape}, as the membership")
        for side, called in ((counted & membership, "members"), (counted & ~membership, "non-members")):
            pairs = side.sum(1) if examples is None else side[:, examples].sum(1)
            without = pairs.sum() - pairs
            if bool((without == 0).any()):
                target = int((without == 0).nonzero()[0])
                raise ValueError(
                    f"populations[{name!r}]: 0 {called} of other targets than {target}, "
                    "by which its threshold is chosen; allowed are one or more"
                )
    return found


@dataclass(frozen=True, eq=False)
class Outcome:
    """What an attack reaches on a population; rates are over pairs of a target and an example.

    shadows        models in all, K; each is the target once
    members, nonmembers   pairs
    auc            ties count half
    advantage      TPR - FPR at the thresholds, with its bootstrap interval of 95 %
    tpr            at an FPR of at most 0.1 %, with the exact interval of that many independent pairs
    tpr_bootstrap  interval of the same with targets and examples drawn anew, the threshold as given
    curve          the TPR at each of FPRS
    bootstrap      resampled advantages, to be subtracted from those of another release
    """

    shadows: int
    members: int
    nonmembers: int
    auc: float
    advantage: tuple[float, float, float]
    tpr: Interval
    tpr_bootstrap: tuple[float, float]
    curve: tuple[float, ...]
    bootstrap: np.ndarray

    def columns(self) -> dict[str, object]:
        """Return the columns of a table; `roc` has the TPR at each of FPRS, separated by spaces."""
        advantage, advantage_low, advantage_high = self.advantage
        return {
            "shadows": self.shadows,
            "members": self.members,
            "nonmembers": self.nonmembers,
            "auc": self.auc,
            "advantage": advantage,
            "advantage_low": advantage_low,
            "advantage_high": advantage_high,
            "tpr_at_fpr_1e-3": self.tpr.value,
            "tpr_low": self.tpr.low,
            "tpr_high": self.tpr.high,
            "tpr_bootstrap_low": self.tpr_bootstrap[0],
            "tpr_bootstrap_high": self.tpr_bootstrap[1],
            "roc": " ".join(f"{rate:.8g}" for rate in self.curve),
        }


@entrance(examples=CLASSES, shapes="statistics K N [queries], membership K N, examples M")
def evaluate(
    attack: Attack,
    statistics: torch.Tensor,
    membership: torch.Tensor,
    populations: Mapping[str, torch.Tensor],
    examples: torch.Tensor | None = None,
    seed: int = 0,
    resamples: int = 1000,
) -> dict[str, Outcome]:
    """Attack every model with the others as its shadows; arguments are those of `thresholds`.

    ValueError for a population of which no members, or no non-members, are counted of two targets or more,
    and where none of fewer than 2 resamples, or of those drawn, has both.
    """
    validate.whole("resamples", resamples, 2)
    populations = _counted(attack, populations, membership, examples)
    scores = attack(statistics, membership)
    chosen = thresholds(attack, statistics, membership, populations, examples)
    outcomes = {}
    for name, counted in populations.items():
        values, inside = scores[counted], membership[counted]
        rates, exceeded = roc.tprs_at_fprs(values, inside, FPRS)
        strict = FPRS.index(0.001)
        called = scores >= chosen[name][:, None]
        drawn = _differences(called, membership, counted, seed, resamples)
        if np.isnan(drawn).all():
            raise ValueError(
                f"resamples {resamples}: none has members and non-members of populations[{name!r}]; allowed "
                "are more resamples, or more pairs"
            )
        side = [called[counted & part].double().mean().item() for part in (membership, ~membership)]
        above = scores > exceeded[strict]
        tprs = roc.bootstrap_rates(above, membership, counted, seed, resamples)[:, 0]
        outcomes[name] = Outcome(
            shadows=len(membership),
            members=int(inside.sum()),
            nonmembers=int((~inside).sum()),
            auc=roc.auc(values, inside),
            advantage=(side[0] - side[1], *_interval(drawn)),
            tpr=rates[strict],
            tpr_bootstrap=_interval(tprs),
            curve=tuple(rate.value for rate in rates),
            bootstrap=drawn,
        )
    return outcomes


@entrance
def compare(release: Outcome, baseline: Outcome) -> tuple[float, float, float, float]:
    """Return the difference of two advantages, its bootstrap interval of 95 %, and a two-sided p-value.

    Both must come from as many models and examples, and the same seed: their resamples are then paired. The
    p-value takes the bootstrap's spread for a normal error. Where there is no spread, it is
    2 / (resamples + 1): no resample has the other sign, and more than that they cannot say.
    """
    if len(release.bootstrap) != len(baseline.bootstrap) or release.shadows != baseline.shadows:
        raise ValueError(
            f"release and baseline of {release.shadows} and {baseline.shadows} models, "
            f"{len(release.bootstrap)} and {len(baseline.bootstrap)} resamples: allowed are outcomes "
            "of the same resamples"
        )
    drawn = release.bootstrap - baseline.bootstrap
    difference = release.advantage[0] - baseline.advantage[0]
    defined = int(np.isfinite(drawn).sum())
    if defined < 2:
        raise ValueError(f"release and baseline have {defined} resamples in common: allowed are two or more")
    spread = np.nanstd(drawn, ddof=1)
    if spread > SPREAD_OF_EXACT:
        p_value = 2 * stats.norm.sf(abs(difference) / spread)
    else:
        p_value = 1.0 if abs(difference) <= SPREAD_OF_EXACT else 2 / (defined + 1)
    return difference, *_interval(drawn), float(p_value)


def _differences(
    called: torch.Tensor, membership: torch.Tensor, counted: torch.Tensor, seed: int, resamples: int
) -> np.ndarray:
    rates = roc.bootstrap_rates(called, membership, counted, seed, resamples)
    return rates[:, 0] - rates[:, 1]


def _interval(values: np.ndarray) -> tuple[float, float]:
    low, high = np.nanquantile(values, [0.025, 0.975])
    return float(low), float(high)
