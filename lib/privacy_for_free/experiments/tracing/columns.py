"""The columns of the table of `tracing`, in order."""

from privacy_for_free.lab.experiment import Column, columns

_PREDICTED = (
    "for the class means: as `observed_tpr`, `auc` and `roc`, predicted to leading order in 1/n, from mean "
    "and covariance of all training images of the class"
)
_EXACT = (
    "for the class means: the same predicted from the pool's own mean and covariance, with the variances of "
    "sampling without replacement"
)

COLUMNS: tuple[Column, ...] = (
    Column(
        "extractor", "linear, or the kind of network whose features distribution matching matched: convnet"
    ),
    Column("n", "members per class; the pool holds 2 n images of each class"),
    Column(
        "dimension",
        "numbers that the attack compares means of: pixels (averaged over squares for the extractor linear), "
        "or features after their random projection",
    ),
    Column(
        "shrinkage",
        "of the attacker's covariance towards a multiple of the identity, as asked for: 0 to 1, or "
        "ledoit_wolf; 1 is no whitening",
    ),
    Column("predicted_tpr", _PREDICTED),
    Column("observed_tpr", "true positive rate at the false positive rate `fpr`, over all pairs, 0 to 1"),
    *columns(
        "low, high",
        "its exact (Clopper-Pearson) interval of 95 % for that many pairs, taken as independent",
    ),
    Column("auc", "area under the ROC; ties count half"),
    Column(
        "attacker",
        "pool: fits centres and covariance to all pool images; disjoint: to images that are not in the pool, "
        "as many per class as there are, up to 4,000 in the profiles; none: has the releases only",
    ),
    Column("method", "mean: the class means themselves are released; dm: distribution matching"),
    Column(
        "init",
        "what the synthetic images started from: noise or real; noise for the class means, which are what "
        "such a release holds",
    ),
    Column(
        "population",
        "the members that are counted: all; in_initialisation, those whose image the release started from; "
        "or not_in_initialisation, the others. Non-members are the same in all three",
    ),
    Column("m", "synthetic images per class; 0 for the class means, which are released whatever m is"),
    Column("statistic", "what the attack compares means of: pixels, or features of random networks"),
    Column(
        "calibration",
        "raw: the statistic itself, with one threshold for all images; standardised: divided by its spread "
        "under the attacker's covariance",
    ),
    Column("fpr", "the false positive rate that `observed_tpr` is taken at, 0 to 1"),
    *columns("predicted_auc, predicted_roc", _PREDICTED),
    *columns("exact_tpr, exact_auc, exact_roc", _EXACT),
    Column(
        "effect",
        "for the class means: root mean square over images of the effect size of `predicted_tpr`, the raw "
        "statistic's: difference of its means over its standard deviation outside",
    ),
    Column("shrinkage_used", "what `shrinkage` came to, 0 to 1"),
    Column(
        "roc",
        "true positive rates at `attacks.evaluation.FPRS`, four per decade from 1e-4 to 1, parted by blanks",
    ),
    *columns(
        "members, nonmembers", "pairs of a release and a pool image that is in, and is not in, its half"
    ),
    Column("targets", "random halves, each of which is released by itself"),
    *columns(
        "tpr_bootstrap_low, tpr_bootstrap_high",
        "interval of 95 % of `observed_tpr` with halves and images drawn anew, the threshold taken as given",
    ),
    Column(
        "mean_error",
        "for distribution matching with a linear extractor: the largest relative distance, over halves and "
        "classes, of the mean of the synthetic images from that of the members",
    ),
    Column("iterations", "steps of the condensation"),
    Column(
        "seconds",
        "wall clock of the condensation of all halves; empty where it was not timed",
        measured=True,
    ),
)
