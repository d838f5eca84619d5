"""The list: what the abstract claims, what its critics claim, and what this book adds."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from privacy_for_free.book.claims import effects
from privacy_for_free.book.claims.effects import Effect
from privacy_for_free.book.claims.rules import Rule, Verdict, above, below, refuted
from privacy_for_free.theory.linear_case import TOLERANCE

SMALL_DIFFERENCE_POINTS = 5.0  # of advantage or accuracy: what this book calls little
NO_DIFFERENCE_POINTS = 1.0  # of advantage: below it two releases count as equal
STEEPEST_FAILURE = -0.9  # exponent in n of the movement: a claim of -1 fails where it is larger
SPEAKERS = {"A": "the abstract", "C": "the critics", "B": "this book"}


@dataclass(frozen=True)
class Claim:
    """What is claimed, and how a record decides it.

    key         its letter says who claims it (SPEAKERS)
    measure     what it comes down to in a record's table; effect: that in words, with the unit
    rule, why   from the effect to the verdict; the same in words
    chapters    where the evidence is, and the verdict stated
    assuming    what it holds under, where it does so under assumptions
    form        how the numbers are printed, a format specification
    """

    key: str
    text: str
    experiment: str
    measure: Callable[[pd.DataFrame], Effect | None]
    effect: str
    rule: Rule
    why: str
    chapters: tuple[str, ...]
    assuming: str = ""
    form: str = "z.1f"


CLAIMS = (
    Claim(
        key="A1",
        text="with a linear extractor, one of $n$ images moves each condensed one by $O(1/n)$, as proved",
        experiment="linear_dm",
        measure=effects.exact_error,
        effect="largest error of an exact statement, as a power of ten",
        rule=below(float(np.log10(TOLERANCE)), Verdict.ASSUMPTIONS),
        why=f"holds where no exact statement is off by more than {TOLERANCE:.0e}",
        chapters=("linear_proof", "linear_check"),
        assuming="an initialisation that does not look at the image",
    ),
    Claim(
        key="A2",
        text="so its influence on the distribution of the parameters of a trained network is $O(m/n)$",
        experiment="gibbs_ratio",
        measure=effects.closest_to_bound,
        effect="largest log ratio of exact Gibbs posteriors on condensed images, over its bound",
        rule=below(1.0, Verdict.ASSUMPTIONS),
        why="holds where none is above its bound",
        chapters=("gibbs",),
        assuming="as A1, and one network drawn from a Gibbs posterior is released",
        form="z.2f",
    ),
    Claim(
        key="A3",
        text="the same extends to non-linear extractors: smooth ones",
        experiment="nonlinear_shift",
        measure=effects.slope_smooth,
        effect="exponent in $n$ of the shift, GELU ConvNet, from noise",
        rule=below(STEEPEST_FAILURE, Verdict.ASSUMPTIONS),
        why="holds where the interval is at most -0.9; the theorem says -1",
        chapters=("nonlinear_extractors",),
        assuming="as A1, common random numbers, a smooth extractor",
        form="z.2f",
    ),
    Claim(
        key="A4",
        text="and the ReLU networks that are used",
        experiment="nonlinear_shift",
        measure=effects.slope_relu,
        effect="exponent in $n$ of the shift, ReLU ConvNet, from noise",
        rule=below(STEEPEST_FAILURE, Verdict.ASSUMPTIONS),
        why="as A3",
        chapters=("nonlinear_extractors",),
        form="z.2f",
    ),
    Claim(
        key="A5",
        text="condensation gives better accuracy than a private data generator: with noise, than DP-MERF",
        experiment="private_release",
        measure=effects.gain_over_generator,
        effect=r"one noisy release of DM minus DP-MERF at $\varepsilon = 1$, points",
        rule=above(0.0),
        why="holds where the interval is above 0",
        chapters=("price_of_a_guarantee",),
    ),
    Claim(
        key="A6",
        text="at lower cost",
        experiment="private_release",
        measure=effects.cost_over_generator,
        effect=r"seconds of one noisy release over those of DP-MERF at $\varepsilon = 1$",
        rule=below(1.0),
        why="holds where the interval is below 1",
        chapters=("price_of_a_guarantee",),
    ),
    Claim(
        key="A7",
        text="condensed images do not show the images they started from: linear extractor",
        experiment="linear_dm",
        measure=effects.recovery_error,
        effect="error of the initial images as recovered from one of them, as a power of ten",
        rule=above(-2.0),
        why="holds where they are off by more than 1 %",
        chapters=("linear_check",),
    ),
    Claim(
        key="A8",
        text="condensed images do not show the images they started from: DM with a ConvNet",
        experiment="visual_privacy",
        measure=effects.initial_found_dm,
        effect="images still nearest to the one they started from, %, of all distances the most",
        rule=below(50.0),
        why="holds where fewer than half are, to the end of the interval",
        chapters=("can_you_see_anyone",),
    ),
    Claim(
        key="A9",
        text="nor do those of DSA and KIP",
        experiment="visual_privacy",
        measure=effects.initial_found_others,
        effect="the same, of the two the one with more; a few steps",
        rule=below(50.0),
        why="as A8",
        chapters=("can_you_see_anyone",),
    ),
    Claim(
        key="A10",
        text="members that a release did not start from are no nearer to its images than non-members",
        experiment="visual_privacy",
        measure=effects.member_nearer_others,
        effect="images whose nearest is a member, %, of the clearest test; p corrected for their number",
        rule=refuted(),
        why="fails where a corrected test finds more than half; otherwise open",
        chapters=("can_you_see_anyone",),
    ),
    Claim(
        key="A11",
        text="and from noise no member is",
        experiment="visual_privacy",
        measure=effects.member_nearer_noise,
        effect="the same, from noise",
        rule=refuted(),
        why="as A10",
        chapters=("can_you_see_anyone",),
    ),
    Claim(
        key="A12",
        text="membership attacks on a network trained on condensed data gain little, on average over members",
        experiment="membership",
        measure=effects.network_advantage,
        effect="advantage of offline LiRA, points, DM from noise, $r = 1$ %",
        rule=below(SMALL_DIFFERENCE_POINTS),
        why=f"holds where it is under {SMALL_DIFFERENCE_POINTS:.0f} points, to the end of the interval",
        chapters=("membership",),
    ),
    Claim(
        key="A13",
        text="nor do they gain more where the member is an image that the release started from",
        experiment="membership",
        measure=effects.started_advantage,
        effect="the same over those images, the largest of DM, DSA and KIP from real images",
        rule=below(SMALL_DIFFERENCE_POINTS),
        why="as A12",
        chapters=("membership",),
    ),
    Claim(
        key="C1",
        text="the theory shows no improvement over naive training on everything: the bound is the same at a "
        "higher temperature, and one image moves the posterior no more",
        experiment="gibbs_ratio",
        measure=effects.naive_over_condensed,
        effect="log ratio of the naive method over that of condensation, at a common bound",
        rule=below(1.0),
        why="holds where the interval is at most 1, fails where it is above",
        chapters=("gibbs",),
        form="z.2f",
    ),
    Claim(
        key="C2",
        text="the experiments show no improvement over a random subset of the same size, over all members",
        experiment="membership",
        measure=effects.over_subset,
        effect="advantage on DM from noise minus that on the subset, points, $r = 1$ %",
        rule=above(-NO_DIFFERENCE_POINTS),
        why=f"holds where the interval is above -{NO_DIFFERENCE_POINTS:.0f}, fails where it is below",
        chapters=("membership",),
    ),
    Claim(
        key="C3",
        text="nor over the images that each of the two starts from",
        experiment="membership",
        measure=effects.over_subset_started,
        effect="the same over those images, DM from real images",
        rule=above(-NO_DIFFERENCE_POINTS),
        why="as C2",
        chapters=("membership",),
    ),
    Claim(
        key="C7",
        text="nor, over all members, for those that an attacker is surest of",
        experiment="membership",
        measure=effects.over_subset_tpr,
        effect="TPR at an FPR of 0.1 % on DM from noise minus that on the subset, points",
        rule=above(-0.1),
        why="holds where the interval is above -0.1, what guessing finds; fails where it is below",
        chapters=("membership",),
        form="z.2f",
    ),
    Claim(
        key="C4",
        text="DP-SGD trains a better network, provably private: than on the fewest condensed images",
        experiment="private_release",
        measure=effects.sgd_over_few,
        effect="DP-SGD at the smallest epsilon minus DM without noise, points",
        rule=above(0.0),
        why="holds where the interval is above 0",
        chapters=("price_of_a_guarantee",),
    ),
    Claim(
        key="C5",
        text="than on the most",
        experiment="private_release",
        measure=effects.sgd_over_many,
        effect="the same",
        rule=above(0.0),
        why="as C4",
        chapters=("price_of_a_guarantee",),
    ),
    Claim(
        key="C6",
        text="than on condensed images with few members as well, 1,000",
        experiment="canaries",
        measure=effects.sgd_over_canaries,
        effect="DP-SGD at the smallest epsilon minus DM from noise, points",
        rule=above(0.0),
        why="as C4",
        chapters=("no_free_lunch",),
    ),
    Claim(
        key="B1",
        text="what the linear theory covers, the class mean, gives its members away",
        experiment="tracing",
        measure=effects.mean_tpr,
        effect="TPR at an FPR of 0.1 %, %, by an attacker with the pool",
        rule=above(0.1),
        why="holds where the interval is above guessing",
        chapters=("tracing",),
        form="z.2f",
    ),
    Claim(
        key="B2",
        text="condensation can be private by proof at little loss, ten images a class",
        experiment="private_release",
        measure=effects.private_loss,
        effect=r"one noisy release at $\varepsilon = 1$ minus plain DM from real images, points",
        rule=above(-SMALL_DIFFERENCE_POINTS),
        why=f"holds where less than {SMALL_DIFFERENCE_POINTS:.0f} points are lost, to the end of the "
        "interval",
        chapters=("price_of_a_guarantee",),
    ),
    Claim(
        key="B3",
        text="no audit of a noisy sum contradicts its proved epsilon, and every broken one is caught",
        experiment="private_release",
        measure=effects.audits_right,
        effect="audits that end as they should, %",
        rule=lambda e: Verdict.HOLDS if e.value == 100 else Verdict.FAILS,
        why="holds where all do",
        chapters=("price_of_a_guarantee",),
        form="z.0f",
    ),
    Claim(
        key="B4",
        text="images that the published loop condenses from noise give their members away in part, 100 of "
        "one class at width 16, to who has the pool and knows the architecture: better than guessing, "
        "without a network or a secret",
        experiment="optimality",
        measure=effects.auc_of_images,
        effect="AUC of the attack by the equations of stationary images",
        rule=above(0.5),
        why="holds where the interval is above 0.5, guessing",
        chapters=("condensed_images",),
        form="z.2f",
    ),
)
