"""The columns of the table of `scaling`, in order."""

from privacy_for_free.lab.experiment import Column, columns

COLUMNS: tuple[Column, ...] = (
    *columns(
        "operation",
        "dm_step, training, evaluation, lira, class_mean, kip_step, linear_dm; described in the "
        "experiment's `design`",
    ),
    *columns(
        "variable, value",
        "what the operation is measured against: n, m, K or ipc; its size in this row",
    ),
    *columns(
        "n, m, K, ipc",
        "real images, or examples, that the operation sees; synthetic images of one set (linear_dm: of one "
        "class); sets, releases or targets; synthetic images per class. Empty where an operation has none",
    ),
    *columns("width, dtype", "of the ConvNet, empty without one; the type that the operation computes in"),
    *columns(
        "seconds, seconds_low, seconds_high",
        "per call: median, least and upper quartile of `repeats` timings, not compiled",
        measured=True,
    ),
    *columns(
        "memory_bytes",
        "most that the tensors which the operation makes hold at a time, its inputs and what a "
        "kernel needs inside left out; on a GPU what torch allocated",
        tolerance=0.001,
    ),
    *columns(
        "flops",
        "floating-point operations, counted: products, convolutions, factors and triangular solves, and one "
        "for each element of what is done element by element",
    ),
    *columns("bytes", "inputs and results, each once: what must be moved at least"),
    *columns(
        "flops_per_second, bytes_per_second",
        "reached: of `flops` and `bytes`",
        measured=True,
    ),
    *columns(
        "ceiling_flops, ceiling_bytes",
        "what the same process reaches at most, per second: a product of large matrices of `dtype`, a copy "
        "of a large block",
        measured=True,
    ),
    *columns(
        "bound, fraction",
        "which ceiling is the lower one: arithmetic, memory; share of it that is reached. What "
        "fits a cache can exceed 1",
        measured=True,
    ),
    *columns("threads, repeats", "of the process; timings"),
)
