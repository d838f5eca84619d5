"""The columns of the table of `canaries`, in order."""

from privacy_for_free.lab.experiment import Column, columns

COLUMNS: tuple[Column, ...] = (
    *columns(
        "release, init, ipc, ratio",
        ("random_subset, dm (noise, real, canaries: members that are planted), dp_sgd, full; ratio is m / n"),
    ),
    *columns(
        "epsilon, noise_multiplier",
        ("DP-SGD's; inf elsewhere"),
    ),
    *columns(
        "attacked, attack",
        ("network or synthetic_set; as in `membership`"),
    ),
    *columns(
        "canary",
        ("ordinary, mislabelled, out_of_distribution"),
    ),
    *columns(
        "in_initialisation",
        ("all; yes, no: members that the release started from, or not. Non-members are the same"),
    ),
    *columns(
        "shadows, members, nonmembers",
        ("K; pairs of a model and an image"),
    ),
    *columns(
        "auc, advantage, advantage_low, advantage_high, tpr_at_fpr_1e-3, tpr_low, tpr_high, "
        "tpr_bootstrap_low, tpr_bootstrap_high, roc",
        ("as in `membership`"),
    ),
    *columns(
        "member_accuracy, nonmember_accuracy",
        ("on ordinary images"),
    ),
    *columns(
        "width",
        ("of the ConvNet; seconds for all K"),
    ),
    *columns(
        "release_seconds, train_seconds",
        ("of the ConvNet; seconds for all K"),
        measured=True,
    ),
)
