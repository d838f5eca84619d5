"""The columns of the table of `gibbs_ratio`, in order."""

from privacy_for_free.lab.experiment import Column, columns

COLUMNS: tuple[Column, ...] = (
    *columns(
        "model",
        "gaussian, gaussian_kl, logistic, logistic_replace, logistic_all_data, logistic_random_subset, "
        "sgld_network, sgld_network_half_step; described in the experiment's module `measure`",
    ),
    *columns("n, m", "real and synthetic images per class (for the models of 1.5, m of the ratio m/n)"),
    *columns(
        "bound, observed",
        "nats: the bound, with the displacement 2B/n at its largest; the largest absolute log ratio over "
        "theta and the images tried (for gaussian_kl the divergence)",
    ),
    *columns("bound_this_x", "nats: the bound with the true displacement of the worst image"),
    *columns("std_error", "nats: standard error of ln Z'/Z in observed; 0 where it is exact"),
    *columns("statistic", "what observed is: largest_log_ratio or kl_divergence"),
    *columns("adjacency", "whether one image is removed or replaced: remove, replace"),
    *columns("replicate", "the pair of classes and the order of their images; replicates are independent"),
    *columns("class_of_x, other_class", "the class whose image changes, and the one beside it"),
    *columns(
        "epsilon0, temperature, lipschitz, dimension",
        "of the model: eps0, tau, L (infinite for gaussian_kl), and the number of parameters in theta",
    ),
    *columns("observed_fixed_x", "observed, for one image that is in every T of the replicate"),
    *columns("tried", "how many removals or replacements observed is the largest of"),
    *columns(
        "shift_norm",
        "how far the worst image moves each synthetic image; for the models on real images, how far apart "
        "the two images of the replacement are",
    ),
    *columns("log_normaliser, step", "for chains: ln Z'/Z, and the sampler's step; otherwise empty"),
)
