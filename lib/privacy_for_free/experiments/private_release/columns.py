"""The columns of the table of `private_release`, in order."""

from privacy_for_free.lab.experiment import Column, columns

COLUMNS: tuple[Column, ...] = (
    *columns(
        "mechanism",
        (
            "linear, ldpdc, ndpdc, one_release, dp_merf, dp_sgd; without a guarantee: dm, "
            "random_subset, gan, full"
        ),
    ),
    *columns(
        "epsilon, delta",
        (
            "proved, for adding or removing one example, the public numbers of images unchanged; inf "
            "without noise"
        ),
    ),
    *columns(
        "ipc",
        ("images a class (for networks those of the smallest class); where they start"),
    ),
    *columns(
        "seed",
        ("last digits of the task's own"),
    ),
    *columns(
        "test_accuracy",
        ("of a ConvNet trained on the release, or released, on the whole test set"),
    ),
    *columns(
        "epsilon_audited",
        (
            "audits: lower bound (95 %), what was broken on purpose, counted re-runs on either side, "
            "and those called rightly and wrongly"
        ),
    ),
    *columns(
        "seconds",
        (
            "to make the release; to train on it. One release counts its sums of features in full at "
            "each epsilon"
        ),
        measured=True,
    ),
    *columns(
        "kind",
        ("`accuracy`: a release and what learns from it; `audit`: a lower bound on epsilon"),
    ),
    *columns(
        "init",
        ("images a class (for networks those of the smallest class); where they start"),
    ),
    *columns(
        "noise_multiplier, steps, rate",
        (
            "standard deviation of the noise over the clipping norm, noisy sums, Poisson sampling "
            "rate; of an audit those of the one sum looked at (a broken one: the noise it has)"
        ),
    ),
    *columns(
        "epsilon_rdp, epsilon_replace_one",
        ("of the same noise: by Rényi accounting, and for replacing one example"),
    ),
    *columns(
        "train_seconds",
        (
            "to make the release; to train on it. One release counts its sums of features in full at "
            "each epsilon"
        ),
        measured=True,
    ),
    *columns(
        "iterations, width, epochs, images",
        ("steps of the release, width of the ConvNet, epochs of its training, images it saw"),
    ),
    *columns(
        "broken, runs, true_positives, false_positives",
        (
            "audits: lower bound (95 %), what was broken on purpose, counted re-runs on either side, "
            "and those called rightly and wrongly"
        ),
    ),
)
