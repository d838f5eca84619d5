"""The loop every iterative method shares: log, snapshots, checkpoints, progress, and a stop on divergence."""

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from privacy_for_free.condensation.problem import Condensed, Problem
from privacy_for_free.core import checkpoint, paths, progress, validate
from privacy_for_free.core.entrance import entrance, own_state
from privacy_for_free.core.errors import DivergenceError


@entrance
@dataclass(frozen=True)
class Run:
    """How a condensation is watched and kept; nothing here changes a number.

    checkpoint   file that holds the state every `every` steps or `seconds`, whichever is sooner, written
                 aside and renamed; a run that finds its own goes on from there, bitwise as if it had never
                 stopped. Removed by whoever named it.
    every, seconds   what a kill costs at most (and the step in hand)
    log_every    steps between logged losses; the first and the last step are always logged
    snapshots    steps before which the images are kept; the last image set is `Condensed.images`
    progress     a bar on standard error
    """

    checkpoint: str | os.PathLike | None = None
    every: int = 100
    seconds: float = 30.0
    log_every: int = 10
    snapshots: tuple[int, ...] = ()
    progress: bool = False

    def __post_init__(self) -> None:
        """Refuse what is no path, and intervals that are not positive."""
        if self.checkpoint is not None:
            object.__setattr__(self, "checkpoint", paths.given("checkpoint", self.checkpoint))
        validate.whole("every", self.every, 1)
        validate.whole("log_every", self.log_every, 1)
        if not self.seconds >= 0:  # infinite ones are allowed: no checkpoint by the clock
            raise ValueError(f"seconds {self.seconds!r}: allowed are numbers from 0 up")
        for step in self.snapshots:
            validate.whole("snapshots", step)


def fingerprint(method: str, problem: Problem, parameters: object) -> str:
    """Return a digest of what determines a run: data, membership, parameters, seed, torch's version."""
    about = f"{method}\n{problem!r} {problem.seed}\n{parameters!r}\n{torch.__version__}"
    digest = hashlib.sha256(about.encode())
    given = [] if problem.start is None else [problem.start]
    for tensor in (problem.images, problem.labels, problem.membership, *given):
        digest.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy())
    return digest.hexdigest()


def descend(
    method: str,
    problem: Problem,
    parameters: object,
    run: Run,
    images: torch.Tensor,
    optimiser: torch.optim.Optimizer,
    step: Callable[[int], torch.Tensor],
    steps: int,
) -> tuple[torch.Tensor, torch.Tensor, dict[int, torch.Tensor], float]:
    """Call step(index) for index 0 .. steps-1; return losses (K x logged), their steps, snapshots, seconds.

    A step updates `images`, in place, through `optimiser`, and returns the loss of each set (K) before that
    update. It must draw all its randomness from generators derived from its index: then images and the
    optimiser's state are the whole state of a run. Raises DivergenceError at the first loss that is not
    finite, with the images left as they are, and CheckpointError where the checkpoint is another run's, or
    another process is at work on it.
    """
    path = None if run.checkpoint is None else Path(run.checkpoint)
    with own_state(), checkpoint.held(path):
        return _descend(method, problem, parameters, run, path, images, optimiser, step, steps)


def _descend(
    method: str,
    problem: Problem,
    parameters: object,
    run: Run,
    path: Path | None,
    images: torch.Tensor,
    optimiser: torch.optim.Optimizer,
    step: Callable[[int], torch.Tensor],
    steps: int,
) -> tuple[torch.Tensor, torch.Tensor, dict[int, torch.Tensor], float]:
    """Descend, with the checkpoint at `path` held."""
    began, spent, first = time.monotonic(), 0.0, 0
    saved = began
    log: list[tuple[int, torch.Tensor]] = []
    snapshots: dict[int, torch.Tensor] = {}
    key = fingerprint(method, problem, parameters) if path else ""
    if path and path.exists():
        state = checkpoint.load(path, key)
        first, spent, snapshots = state["step"], state["seconds"], state["snapshots"]
        log = list(zip(state["logged"], state["losses"], strict=True))
        with torch.no_grad():
            images.copy_(state["images"])
        optimiser.load_state_dict(state["optimiser"])
    for index in progress.bar(range(first, steps), steps, run.progress, method):
        if index in run.snapshots:
            snapshots[index] = images.detach().to("cpu", copy=True)
        losses = step(index).detach().double().cpu()
        if not bool(torch.isfinite(losses).all()):
            raise DivergenceError(_advice(method, problem, parameters, index, losses))
        if index % run.log_every == 0 or index == steps - 1:
            log.append((index, losses))
        due = (index + 1) % run.every == 0 or time.monotonic() - saved >= run.seconds
        if path and (due or index == steps - 1):
            checkpoint.save(
                path,
                {
                    "key": key,
                    "step": index + 1,
                    "images": images.detach().cpu(),
                    "optimiser": optimiser.state_dict(),
                    "logged": [at for at, _ in log],
                    "losses": [values for _, values in log],
                    "snapshots": snapshots,
                    "seconds": spent + time.monotonic() - began,
                },
            )
            saved = time.monotonic()
    if not bool(torch.isfinite(images).all()):
        raise DivergenceError(_advice(method, problem, parameters, steps, torch.full((1,), torch.nan)))
    if steps in run.snapshots:
        snapshots[steps] = images.detach().to("cpu", copy=True)
    losses = torch.stack([values for _, values in log], 1) if log else torch.zeros((problem.sets, 0)).double()
    return losses, torch.tensor([at for at, _ in log]), snapshots, spent + time.monotonic() - began


def finish(
    images: torch.Tensor,
    labels: torch.Tensor,
    initial: torch.Tensor,
    outcome: tuple[torch.Tensor, torch.Tensor, dict[int, torch.Tensor], float],
) -> Condensed:
    """Put a descent's outcome together."""
    loss, steps, snapshots, seconds = outcome
    return Condensed(images.detach(), labels, initial, loss, steps, snapshots, seconds)


def _advice(method: str, problem: Problem, parameters: object, index: int, losses: torch.Tensor) -> str:
    bad = (~torch.isfinite(losses)).nonzero()[0, 0]
    rate = getattr(parameters, "learning_rate", None)
    return (
        f"{method}: step {index}: the loss of set {problem.names[int(bad)]} is {float(losses[bad])}; "
        f"lower the learning rate (now {rate}) or start from another initialisation (now {problem.init})"
    )
