"""The columns of the table of `canaries`, in order."""

from privacy_for_free.lab.experiment import Column, columns

COLUMNS: tuple[Column, ...] = (
    Column("release", "what is released: sets of random_subset or dm; networks of dp_sgd or full"),
    Column(
        "init",
        "what the sets started from: noise, real images of the half, or canaries, members that are planted, "
        "where the half has enough of them; empty for dp_sgd and full",
    ),
    Column("ipc", "synthetic images per class; for dp_sgd and full the images per class of a half"),
    Column("ratio", "r = m / n, synthetic images over the members of a half; 1 for dp_sgd and full"),
    Column("epsilon", "DP-SGD's, at a delta of 1e-5; inf elsewhere, and for DP-SGD without noise"),
    Column("noise_multiplier", "DP-SGD's noise over its clipping norm; empty elsewhere"),
    Column("attacked", "network, trained on the release; or synthetic_set, the sets themselves"),
    Column("attack", "as in `membership`"),
    Column("canary", "kind of image: ordinary, mislabelled, out_of_distribution"),
    Column(
        "in_initialisation",
        "which members count: all; yes, those that the release started from; no, the others. The "
        "non-members are the same. No row where fewer than two halves have such members",
    ),
    Column("shadows", "K, the number of models; each is the target once, with the others as its shadows"),
    *columns("members, nonmembers", "pairs of a target and an image of that kind, in and not in its half"),
    *columns(
        "auc, advantage, advantage_low, advantage_high, tpr_at_fpr_1e-3, tpr_low, tpr_high, "
        "tpr_bootstrap_low, tpr_bootstrap_high, roc",
        "as in `membership`, of images of that kind",
    ),
    *columns(
        "member_accuracy, nonmember_accuracy",
        "share of the pool's ordinary images that the networks get right",
    ),
    Column("width", "channels of the ConvNet that is attacked"),
    Column("release_seconds", "seconds to make all K sets, 0 for dp_sgd and full", measured=True),
    Column("train_seconds", "seconds to train all K networks and to ask them about the pool", measured=True),
)
