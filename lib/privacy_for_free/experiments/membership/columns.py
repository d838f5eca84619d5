"""The columns of the table of `membership`, in order."""

from privacy_for_free.lab.experiment import Column, columns

COLUMNS: tuple[Column, ...] = (
    *columns(
        "release",
        (
            "what the attacker sees: a network trained on the sets of a method (dm, kip, dsa, "
            "random_subset, full), or the sets themselves (synthetic_set)"
        ),
    ),
    *columns(
        "method, init, ipc, ratio",
        ("how the sets were made; synthetic images a class; over the members of a half"),
    ),
    *columns(
        "attack",
        (
            "on networks: loss, lira_online, lira_online_fixed, lira_offline, lira_offline_fixed. On "
            "sets: nearest (distance to the nearest synthetic image of the class), tracing (class "
            "mean), each as it is and with lira_online on top"
        ),
    ),
    *columns(
        "population",
        (
            "all; or the members whose image the set started from (in_initialisation), and the "
            "others; non-members are the same"
        ),
    ),
    *columns(
        "shadows, members, nonmembers",
        ("K; pairs of a target and an image"),
    ),
    *columns(
        "auc",
        ("ties count half"),
    ),
    *columns(
        "advantage, advantage_low, advantage_high",
        (
            "TPR - FPR at each target's own threshold, which is best where its shadows attack each "
            "other, the target left out; bootstrap interval of 95 % over targets and images"
        ),
    ),
    *columns(
        "tpr_at_fpr_1e-3, tpr_low, tpr_high",
        ("with the exact (Clopper-Pearson) interval of that many pairs, taken as independent"),
    ),
    *columns(
        "tpr_bootstrap_low, tpr_bootstrap_high",
        ("the same with targets and images drawn anew, the threshold as given"),
    ),
    *columns(
        "roc",
        ("TPR at `attacks.evaluation.FPRS`, four a decade from 1e-4 to 1"),
    ),
    *columns(
        "difference, difference_low, difference_high, p_value",
        (
            "of the advantage to that of the random subset of the same size, K and population, by "
            "paired resamples; p_value two-sided, not corrected for the number of comparisons"
        ),
    ),
    *columns(
        "member_accuracy, nonmember_accuracy",
        ("of the networks on the pool, 0 to 1"),
    ),
    *columns(
        "examples",
        ("images of the pool that the attack is run on: those in and out of at least 4 models"),
    ),
    *columns(
        "width",
        ("of the ConvNet that is attacked"),
    ),
    *columns(
        "condense_seconds, train_seconds",
        ("for all K sets, and for all K networks with their answers about the pool"),
        measured=True,
    ),
)
