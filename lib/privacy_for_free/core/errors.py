"""What a long run may stop with, besides bad input (ValueError)."""


class DivergenceError(RuntimeError):
    """A loss or an image stopped being finite; the message names the step and what to try."""


class CheckpointError(RuntimeError):
    """A checkpoint cannot be read, written, or belongs to another run."""
