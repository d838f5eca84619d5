"""Numbers of the chapter "Linear extractors: the proof"."""

from privacy_for_free.theory import linear


def numbers() -> dict[str, float]:
    """What the prose inserts: single runs' largest step over the mean-square threshold."""
    return {
        "single_run.ratio.d5_k1": linear.single_run_threshold(1, 5),
        "single_run.ratio_less_one.d784_k8": linear.single_run_threshold(8, 784) - 1,
    }
