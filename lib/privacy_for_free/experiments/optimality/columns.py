"""The columns of the table of `optimality`, in order."""

from privacy_for_free.lab.experiment import Column, columns

COLUMNS: tuple[Column, ...] = (
    Column("cell", "what is changed of the base, `field=value` parted by semicolons; empty for the base"),
    Column("c", "the class that is condensed, its number"),
    Column("n", "members; the pool holds 2 n images of the class"),
    Column("ipc", "synthetic images"),
    Column("init", "what they started from: noise or real"),
    Column(
        "bank", "extractors of the condenser's bank; empty for fresh ones at every step, the published loop"
    ),
    *columns("iterations, learning_rate, schedule", "of the descent on the pixels"),
    Column("batch_real", "members that an extractor sees, on average; empty for all"),
    Column("augmentation", "strategy of the siamese augmentation, which is part of an extractor; or none"),
    Column("width", "channels of the condenser's ConvNet"),
    Column("clamp", "1 where pixels were kept in the range of real ones after every step, 0 where not"),
    Column(
        "release",
        "as_is; rounded to 256 values per channel, but not clipped; or clipped to the range of real pixels",
    ),
    Column(
        "pixels",
        "whose equations the attack takes: all, or inside, those strictly within the range of real pixels",
    ),
    Column(
        "knowledge",
        "the attacker's extractors: bank, those of the condenser; same_law, others of the same network and "
        "augmentation; mlp or convnet_depth_2, others of another network",
    ),
    Column("extractors", "how many of them"),
    Column("features", "how many features are taken of each, at random; all of a bank"),
    Column(
        "attack",
        "linear_tracing, in the space of features; or optimality, the equations of stationary images",
    ),
    *columns(
        "ridge, whiten, box",
        "of the optimality attack, chosen on other halves by their mean AUC: the ridge over the mean "
        "eigenvalue, and 1 for whitened equations and for solutions kept between 0 and 1, else 0",
    ),
    Column("auc", "area under the ROC, mean over the halves; ties count half"),
    Column("tpr_zero", "share of members above every non-member, mean over the halves"),
    Column("tpr", "true positive rate at a false positive rate of at most 1 %, mean over the halves"),
    *columns(
        "auc_low, auc_high, tpr_zero_low, tpr_zero_high, tpr_low, tpr_high",
        "ends of the interval of 95 % over halves (Student's t; it may reach beyond 0 and 1)",
    ),
    Column("aucs", "the AUC of each half, parted by blanks"),
    Column(
        "roc",
        "true positive rates, mean over the halves, at false positive rates of at most "
        "`attacks.evaluation.FPRS`, four per decade from 1e-4 to 1, parted by blanks",
    ),
    Column(
        "residual",
        "|A b - c| over |A (b - n / 2n)| for the true members b, mean over the halves: what is not equation",
    ),
    Column("loss", "of the condensation, mean over halves and the last tenth of the logged steps"),
    Column("outside", "share of released pixels that are not strictly within the range of real ones, 0 to 1"),
    *columns("targets, tuned", "halves that were attacked, and halves that the settings were chosen on"),
    Column("condensing_seconds", "wall clock of the condensation of all halves", measured=True),
    Column("attack_seconds", "wall clock of one attack on all halves", measured=True),
)
