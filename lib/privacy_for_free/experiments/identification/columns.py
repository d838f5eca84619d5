"""The columns of the table of `identification`, in order."""

from privacy_for_free.lab.experiment import Column, columns

COLUMNS: tuple[Column, ...] = (
    Column("n", "members per class; the pool holds 2 n images of each class"),
    Column("dimension", "numbers of a mean: d"),
    Column("rank", "independent equations of a mean, less one for the count; the average over classes"),
    Column(
        "failure",
        "probability that the linear program leaves somebody open, members by fair coins, by Cover's count "
        "with the rank for d; the average over classes",
    ),
    Column("release", "rounded: the class means, rounded; noisy: with Gaussian noise"),
    Column("bits", "of a rounded number: 64 and 32 are the floats, others evenly spaced over [-1, 1]"),
    Column("mu", "of Gaussian privacy of the noisy means, when one image is replaced"),
    Column("epsilon", "of the same at the design's delta"),
    Column("noise", "standard deviation of the noise on each number"),
    Column(
        "statistic",
        "linear: T in the pool's own covariance; fresh: T - q/(2n); pool: T/(1 - h); identification: the "
        "scores of `attacks.identification`",
    ),
    Column("methods", "of identification: how many releases each was chosen for"),
    Column("auc", "area under the ROC, over all pairs; ties count half"),
    *columns("auc_low_halves, auc_high_halves", "interval of 95 % of the mean AUC of a half, over halves"),
    Column("tpr_percent", "true positive rate at a false positive rate of 1 %, over all pairs"),
    *columns("tpr_percent_low, tpr_percent_high", "its exact (Clopper-Pearson) interval of 95 %"),
    *columns("tpr_percent_low_halves, tpr_percent_high_halves", "its interval of 95 % over halves"),
    Column("tpr_permille", "true positive rate at a false positive rate of 0.1 %, over all pairs"),
    *columns("tpr_permille_low, tpr_permille_high", "its exact (Clopper-Pearson) interval of 95 %"),
    *columns("tpr_permille_low_halves, tpr_permille_high_halves", "its interval of 95 % over halves"),
    *columns(
        "cap_percent, cap_permille",
        "for noisy means: the highest true positive rate at 1 and 0.1 % that any attack can have",
    ),
    Column(
        "named", "share of a release's members whose score is above that of every non-member; the average"
    ),
    *columns("named_low_halves, named_high_halves", "its interval of 95 % over halves"),
    Column("right", "share of images that are rightly in, or out of, the n of the highest scores"),
    *columns("right_low_halves, right_high_halves", "its interval of 95 % over halves"),
    Column("all_right", "share of releases of which all images are right"),
    Column("decided", "of identification: share of images that are proved to be in, or out"),
    Column("wrongly_decided", "of identification: images of which the wrong is proved"),
    *columns("members, nonmembers", "pairs of a release and a pool image that is in, and is not"),
    *columns("halves, classes", "random halves, and classes that are attacked of each"),
    Column("seconds", "wall clock of the attack on one release, without the decomposition", measured=True),
    Column("decomposition_seconds", "wall clock of the decomposition of one class's pool", measured=True),
    Column("peak_bytes", "most memory that the process has had by then", measured=True),
)
