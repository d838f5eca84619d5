"""The columns of the table of `membership`, in order."""

from privacy_for_free.lab.experiment import Column, columns

COLUMNS: tuple[Column, ...] = (
    Column(
        "release",
        "what the attacker sees: networks trained on the sets of a method, whose name it is, or "
        "synthetic_set, the sets themselves",
    ),
    Column("method", "how the sets were made: dm, kip, dsa, random_subset; full for all of a half"),
    Column("init", "what the sets started from: real images of the half, or noise"),
    Column("ipc", "synthetic images per class; for full the images per class of a half"),
    Column("ratio", "r = m / n, synthetic images over the members of a half; 1 for full"),
    Column(
        "attack",
        "on networks: loss, lira_online, lira_online_fixed, lira_offline, lira_offline_fixed (fixed: one "
        "variance for all images). On sets: nearest (minus the distance to the nearest synthetic image of "
        "the class) and tracing (how the image stands to the mean of the class), each as it is and, with "
        "_lira_online behind the name, calibrated by the other sets",
    ),
    Column(
        "population",
        "which members count: all; in_initialisation, those whose image the set started from; "
        "not_in_initialisation, the others. The non-members are the same",
    ),
    Column("shadows", "K, the number of models; each is the target once, with the others as its shadows"),
    *columns("members, nonmembers", "pairs of a target and an image, in and not in its half"),
    Column("auc", "area under the ROC curve; ties count half"),
    *columns(
        "advantage, advantage_low, advantage_high",
        "TPR - FPR at each target's own threshold, which is the best one where its shadows attack each "
        "other, the target left out; bootstrap interval of 95 % over targets and images",
    ),
    *columns(
        "tpr_at_fpr_1e-3, tpr_low, tpr_high",
        "TPR at the lowest threshold whose FPR is at most 0.1 %, with the exact (Clopper-Pearson) interval "
        "of 95 % of that many pairs, taken as independent",
    ),
    *columns(
        "tpr_bootstrap_low, tpr_bootstrap_high",
        "bootstrap interval of 95 % of that TPR over targets and images, the threshold as given",
    ),
    Column("roc", "TPR at each of `attacks.evaluation.FPRS`, four per decade from 1e-4 to 1, in one text"),
    *columns(
        "difference, difference_low, difference_high, p_value",
        "advantage minus that of the random subset of the same ratio, number of shadows and population under "
        "the same attack, by paired resamples, with the interval of 95 %; p_value is two-sided and not "
        "corrected for the number of comparisons. Empty for random_subset, full, and what the random subset "
        "was not attacked as",
    ),
    *columns("member_accuracy, nonmember_accuracy", "share of the pool's images that the networks get right"),
    Column("examples", "images of the pool that are attacked: those in, and out of, at least 4 models"),
    Column("width", "channels of the ConvNet that is attacked"),
    Column("condense_seconds", "seconds to make all K sets", measured=True),
    Column("train_seconds", "seconds to train all K networks and to ask them about the pool", measured=True),
)
