"""The columns of the table of `private_release`, in order."""

from privacy_for_free.lab.experiment import Column, columns

COLUMNS: tuple[Column, ...] = (
    Column(
        "mechanism",
        "linear, ldpdc, ndpdc, one_release, dp_merf, dp_sgd; without a guarantee: dm, random_subset, gan, "
        "full",
    ),
    *columns(
        "epsilon, delta",
        "the proved guarantee, for adding or removing one example while the public class counts stay; inf "
        "without noise and without a guarantee",
    ),
    Column("ipc", "images per class that are released; for networks those of the smallest class"),
    Column("seed", "the last six digits of the task's own seed"),
    Column(
        "test_accuracy",
        "share, 0 to 1, of the whole test set that a ConvNet classifies rightly: one trained on the release, "
        "or the released one",
    ),
    Column("epsilon_audited", "of an audit: the lower bound on epsilon, at 95 % confidence"),
    Column(
        "seconds",
        "that the release took; one_release counts its sums of features in full at each epsilon and ipc, gan "
        "its training at each ipc; of an audit, the seconds of all its re-runs",
        measured=True,
    ),
    Column("kind", "accuracy: a release, and what learns from it; audit: a lower bound on epsilon"),
    Column("init", "what the released images start from: noise or real images; empty for networks"),
    *columns(
        "noise_multiplier, steps, rate",
        "standard deviation of the noise over the clipping norm, number of noisy sums, and probability with "
        "which Poisson sampling takes an example; of an audit those of the one sum that it looks at, where a "
        "broken one has the noise that was really added",
    ),
    Column("epsilon_rdp", "what Renyi accounting says of the same noise, for adding or removing an example"),
    Column("epsilon_replace_one", "what the same noise proves for replacing one example by another"),
    Column("train_seconds", "that training one ConvNet on the release took", measured=True),
    *columns(
        "iterations, width, epochs, images",
        "steps of the descent or training that makes the release (0 for none); channels of the ConvNet; "
        "epochs of its training; number of images that it is trained on",
    ),
    Column("broken", "of an audit: what was broken on purpose; empty for the mechanism as it should be"),
    *columns(
        "runs, true_positives, false_positives",
        "of an audit: counted re-runs on either side, those with the canary that were recognised, and those "
        "without it that were taken for some with it",
    ),
)
