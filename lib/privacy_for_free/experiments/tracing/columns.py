"""The columns of the table of `tracing`, in order."""

from privacy_for_free.lab.experiment import Column, columns

COLUMNS: tuple[Column, ...] = (
    *columns(
        "extractor",
        (
            "mean: the class means (linear); dm: distribution matching, with a linear extractor or "
            "the named network"
        ),
    ),
    *columns(
        "n",
        (
            "members, and synthetic images, a class; m is 0 for the means themselves, which are "
            "released whatever m is"
        ),
    ),
    *columns(
        "dimension",
        (
            "what the attack compares means of: pixels (for extractor linear averaged over squares, "
            "so that dimension are left), or features of random networks, reduced to dimension"
        ),
    ),
    *columns(
        "shrinkage",
        (
            "of the covariance towards a multiple of the identity: a number, or ledoit_wolf, and what"
            " that came to. 1 is no whitening"
        ),
    ),
    *columns(
        "predicted_tpr",
        (
            "method mean: predicted to leading order in 1/n, from mean and covariance of all training"
            " images of a class"
        ),
    ),
    *columns(
        "observed_tpr, low, high",
        (
            "TPR at the false positive rate `fpr`, with the exact (Clopper-Pearson) interval of that "
            "many pairs, taken as independent"
        ),
    ),
    *columns(
        "auc",
        ("ties count half; TPR at `attacks.evaluation.FPRS`, four a decade from 1e-4 to 1"),
    ),
    *columns(
        "attacker",
        (
            "pool (fits centres and covariance to all pool images), disjoint (to as many other images"
            " as there are, 4,000 a class at most), none (has the releases only)"
        ),
    ),
    *columns(
        "method",
        (
            "mean: the class means (linear); dm: distribution matching, with a linear extractor or "
            "the named network"
        ),
    ),
    *columns(
        "init",
        ("what the images started from: noise, real"),
    ),
    *columns(
        "population",
        (
            "all; or the members whose image the set started from (in_initialisation), and the "
            "others; non-members are the same"
        ),
    ),
    *columns(
        "m",
        (
            "members, and synthetic images, a class; m is 0 for the means themselves, which are "
            "released whatever m is"
        ),
    ),
    *columns(
        "statistic",
        (
            "what the attack compares means of: pixels (for extractor linear averaged over squares, "
            "so that dimension are left), or features of random networks, reduced to dimension"
        ),
    ),
    *columns(
        "calibration",
        (
            "raw: the statistic, one threshold for all images; standardised: divided by its spread "
            "under the attacker's covariance"
        ),
    ),
    *columns(
        "fpr",
        "the false positive rate that TPRs are taken at",
    ),
    *columns(
        "predicted_auc, predicted_roc",
        (
            "method mean: predicted to leading order in 1/n, from mean and covariance of all training"
            " images of a class"
        ),
    ),
    *columns(
        "exact_tpr, exact_auc, exact_roc",
        (
            "method mean: predicted from the pool's own mean and covariance, with the variances of "
            "sampling without replacement"
        ),
    ),
    *columns(
        "effect",
        ("root mean square over images of the effect size behind the latter"),
    ),
    *columns(
        "shrinkage_used",
        (
            "of the covariance towards a multiple of the identity: a number, or ledoit_wolf, and what"
            " that came to. 1 is no whitening"
        ),
    ),
    *columns(
        "roc",
        ("ties count half; TPR at `attacks.evaluation.FPRS`, four a decade from 1e-4 to 1"),
    ),
    *columns(
        "members, nonmembers, targets",
        ("pairs; halves"),
    ),
    *columns(
        "tpr_bootstrap_low, tpr_bootstrap_high",
        ("the same with halves and images drawn anew, the threshold as given"),
    ),
    *columns(
        "mean_error",
        (
            "method dm, linear: largest relative distance of the mean of a class's synthetic images "
            "from that of its members"
        ),
    ),
    *columns(
        "iterations",
        ("of the condensation; wall clock for all halves, empty where nothing was timed"),
    ),
    *columns(
        "seconds",
        ("of the condensation; wall clock for all halves, empty where nothing was timed"),
        measured=True,
    ),
)
