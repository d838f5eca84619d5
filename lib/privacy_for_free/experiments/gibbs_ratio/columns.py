"""The columns of the table of `gibbs_ratio`, in order."""

from privacy_for_free.lab.experiment import Column, columns

COLUMNS: tuple[Column, ...] = (
    *columns(
        "model",
        (
            "gaussian, gaussian_kl, logistic, logistic_replace, logistic_all_data, "
            "logistic_random_subset, sgld_network, sgld_network_half_step; described in the "
            "experiment's module"
        ),
    ),
    *columns(
        "n, m",
        ("real and synthetic images of a class"),
    ),
    *columns(
        "bound, observed",
        (
            "nats: the bound, with the displacement 2B/n at its largest; the largest absolute log "
            "ratio over theta and the images tried (for gaussian_kl the divergence)"
        ),
    ),
    *columns(
        "bound_this_x",
        ("the bound with the true displacement of the worst image"),
    ),
    *columns(
        "std_error",
        ("of observed; 0 where it is exact"),
    ),
    *columns(
        "statistic, adjacency",
        ("what observed is; whether one image is removed or replaced"),
    ),
    *columns(
        "replicate, class_of_x, other_class",
        ("the pair of classes; replicates are independent"),
    ),
    *columns(
        "epsilon0, temperature, lipschitz, dimension",
        ("of the model"),
    ),
    *columns(
        "observed_fixed_x",
        ("the same for one image that is in every T of the replicate"),
    ),
    *columns(
        "tried",
        ("how many removals or replacements observed is the largest of"),
    ),
    *columns(
        "shift_norm, log_normaliser, step",
        ("how far the worst image moved the synthetic ones; ln Z'/Z and the sampler's step, for chains"),
    ),
)
