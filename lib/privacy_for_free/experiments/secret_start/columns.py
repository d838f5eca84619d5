"""The columns of the table of `secret_start`, in order."""

from privacy_for_free.lab.experiment import Column, columns

COLUMNS: tuple[Column, ...] = (
    Column(
        "kind",
        "secret_start: the images of a run that was stopped; gaussian_mean: the class means with noise of "
        "the same mu, one image per class; random_subset: real images, without a guarantee; pair: the "
        "optimal attack on two neighbouring sets; tracing: the linear attack of who has the pool",
    ),
    *columns("m, spread", "synthetic images per class, standard deviation of their start's pixels"),
    Column("n", "real images per class, of the smallest class"),
    Column("epsilon", "asked for; 0 is the start itself, infinity the limit of the descent"),
    Column("epsilon_spent", "of the steps that were made, at most `epsilon`"),
    *columns("mu, steps, kept", "of Gaussian privacy, steps, share of its start that the mean still has"),
    Column("learner", "convnet, ridge (regression on pixels), nearest_mean (of the class means, rescaled)"),
    Column("test_accuracy", "of the learner on the whole test set, 0 to 1"),
    Column("replicate", "of the release and of what learns from it"),
    Column(
        "pair",
        "worst: a white image against a black one, as far apart as the bound allows; real: the two images "
        "of the class that are farthest apart",
    ),
    Column("fpr", "false positive rate that `observed_tpr` is taken at, 0 to 1"),
    *columns("observed_tpr, low, high", "true positive rate, and its exact (Clopper-Pearson) 95 % interval"),
    Column("predicted_tpr", "pair: of the optimal attack on these two sets, by theory"),
    Column("cap_tpr", "of any attack on any two neighbouring sets: Phi(Phi^-1(fpr) + mu)"),
    Column("auc", "area under the ROC"),
    Column("attacks", "pair: releases of either set; tracing: pairs of a release and a member"),
    Column(
        "descent_error",
        "largest relative distance of the images that `linear.descend` reaches from the closed form",
    ),
    Column("seconds", "wall clock of the learner's training and test, or of the attack", measured=True),
)
