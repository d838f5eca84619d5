"""The columns of the table of `linear_dm`, in order."""

from privacy_for_free.lab.experiment import Column, columns

COLUMNS: tuple[Column, ...] = (
    *columns("check, kind", "the statement; exact or statistical"),
    *columns("n, m, d, k", "real and synthetic images per class, dimension of an image, of a feature"),
    *columns("expected, observed", "theory and run; norms, where the statement is about arrays"),
    *columns(
        "relative_error",
        "exact: norm of the difference over the expected norm (over the loss at the start, where 0 is "
        "expected); for a bound, by how much it is exceeded. Statistical: of the mean",
    ),
    *columns("z", "statistical: (observed - expected) in standard errors; empty otherwise"),
    *columns("samples", "statistical: independent draws; empty otherwise"),
    *columns("class_index", "the class of the images"),
)
