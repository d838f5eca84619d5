"""The columns of the table of `condensation`, in order."""

from privacy_for_free.lab.experiment import Column, columns

COLUMNS: tuple[Column, ...] = (
    *columns(
        "method, init",
        (
            "how the set was made: random_subset, herding, dm, dc, dsa, kip, full (all training images); "
            "what the images started from: real, noise, noise_matched (mean and spread of the pixels)"
        ),
    ),
    *columns(
        "ipc, ratio",
        "images per class (of full: on average); images of the set over training images",
    ),
    *columns("seed", "names the set: derived from the record's seed and the task"),
    *columns("iterations", "steps of the condensation; 0 for a selection"),
    *columns(
        "test_accuracy",
        "share of the test images, 0 to 1, whose class the learner finds; empty where training diverged",
    ),
    *columns(
        "seconds, train_seconds",
        (
            "to make the set, to train the learner (of kernel: to fit and to test it); wall clock on one "
            "thread, a process's first use of a shape includes its compilation"
        ),
        measured=True,
    ),
    *columns(
        "evaluator",
        "what learnt from the set: convnet, mlp (trained from scratch) or kernel (ridge regression with the "
        "NTK of KIP; not on full)",
    ),
    *columns("images", "images of the set, in all classes"),
    *columns("width, epochs", "of the network and of its training; empty for kernel"),
    *columns(
        "loss_first, loss_last",
        (
            "the method's own loss at its first and last step, not comparable between methods; empty where "
            "nothing was learnt"
        ),
    ),
)
