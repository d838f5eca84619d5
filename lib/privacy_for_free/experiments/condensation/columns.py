"""The columns of the table of `condensation`, in order."""

from privacy_for_free.lab.experiment import Column, columns

COLUMNS: tuple[Column, ...] = (
    *columns(
        "method, init",
        (
            "random_subset, herding, dm, dc, dsa, kip, full; what the images started from: real, "
            "noise, noise_matched (mean and spread of the pixels)"
        ),
    ),
    *columns(
        "ipc, ratio",
        ("synthetic images a class and in all; images over training images"),
    ),
    *columns(
        "seed",
        ("names the set: derived from the record's seed and the task"),
    ),
    *columns(
        "iterations",
        ("steps of the condensation; 0 for a selection"),
    ),
    *columns(
        "test_accuracy",
        ("0 to 1"),
    ),
    *columns(
        "seconds, train_seconds",
        (
            "to make the set, to train the learner; wall clock on one thread, a process's first use "
            "of a shape includes its compilation"
        ),
        measured=True,
    ),
    *columns(
        "evaluator",
        ("convnet, mlp (trained from scratch) or kernel (ridge regression with the NTK of KIP)"),
    ),
    *columns(
        "images",
        ("synthetic images a class and in all; images over training images"),
    ),
    *columns(
        "width, epochs",
        ("convnet, mlp (trained from scratch) or kernel (ridge regression with the NTK of KIP)"),
    ),
    *columns(
        "loss_first, loss_last",
        ("the method's own loss at its first and last step, not comparable between methods"),
    ),
)
