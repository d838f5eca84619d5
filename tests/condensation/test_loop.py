"""The shared loop: what is logged and kept, and that no kill changes a bit."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from privacy_for_free.condensation import CheckpointError, DivergenceError, Run
from privacy_for_free.condensation.loop import descend
from privacy_for_free.condensation.problem import Problem
from privacy_for_free.core import checkpoint
from privacy_for_free.core.randomness import generator

PROBLEM = Problem.of(torch.arange(64.0).reshape(4, 1, 4, 4), torch.tensor([0, 1, 0, 1]), None, 1, "noise", 3)


def walk(run, steps=7, seen=None, blow_up=None, problem=PROBLEM, parameters="any"):
    """Descend a quadratic with noise that depends on the step; the loss is the square before the step."""
    images = torch.ones(problem.shape).requires_grad_(True)
    optimiser = torch.optim.SGD([images], lr=0.1, momentum=0.5)

    def step(index):
        if seen is not None:
            seen.append(index)
        loss = images.detach().square().flatten(1).sum(1)
        images.grad = images.detach() + torch.randn(images.shape, generator=generator(0, "walk", index))
        optimiser.step()
        return loss * float("nan") if index == blow_up else loss

    outcome = descend("walk", problem, parameters, run, images, optimiser, step, steps)
    return images.detach(), *outcome


def test_first_and_last_losses_are_logged_and_snapshots_are_of_before_the_step():
    images, losses, steps, snapshots, seconds = walk(Run(log_every=3, snapshots=(0, 2, 7)))
    assert steps.tolist() == [0, 3, 6]
    assert losses.shape == (1, 3)
    assert losses.dtype == torch.float64
    assert sorted(snapshots) == [0, 2, 7]
    assert torch.equal(snapshots[0], torch.ones(PROBLEM.shape))
    assert torch.equal(snapshots[7], images)
    assert float(losses[0, 0]) == 32.0
    assert seconds > 0
    after_two = walk(Run(), steps=2)[0]
    assert torch.equal(snapshots[2], after_two)


def test_no_steps_give_an_empty_log():
    images, losses, steps, _, _ = walk(Run(), steps=0)
    assert torch.equal(images, torch.ones(PROBLEM.shape))
    assert losses.shape == (1, 0)
    assert len(steps) == 0


@pytest.mark.parametrize("killed_at", range(1, 7))
def test_a_killed_run_goes_on_as_if_it_had_not_been(tmp_path, monkeypatch, killed_at):
    whole = walk(Run(log_every=2, snapshots=(1, 5)))
    run = Run(tmp_path / "state", every=2, log_every=2, snapshots=(1, 5))
    save = checkpoint.save

    def killed(path, state):
        if state["step"] > killed_at:
            raise KeyboardInterrupt
        save(path, state)

    monkeypatch.setattr(checkpoint, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        walk(run)
    monkeypatch.undo()
    seen = []
    resumed = walk(run, seen=seen)
    assert seen == list(range(killed_at - killed_at % 2, 7))
    for a, b in zip(resumed[:3], whole[:3], strict=True):
        assert torch.equal(a, b)
    assert all(torch.equal(resumed[3][at], whole[3][at]) for at in (1, 5))


def test_saves_by_the_clock_too(tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(checkpoint, "save", lambda path, state: saved.append(state["step"]))
    walk(Run(tmp_path / "state", every=100, seconds=0))
    assert saved == [1, 2, 3, 4, 5, 6, 7]
    saved.clear()
    walk(Run(tmp_path / "state", every=100, seconds=1e9))
    assert saved == [7]


def test_another_runs_checkpoint_is_left_alone(tmp_path):
    run = Run(tmp_path / "state", every=2)
    walk(run)
    before = (tmp_path / "state").read_bytes()
    other = Problem.of(PROBLEM.images + 1, PROBLEM.labels, None, 1, "noise", 3)
    for changes in ({"problem": other}, {"parameters": "others"}):
        with pytest.raises(CheckpointError, match="begun with other data, parameters or seed"):
            walk(run, **changes)
    assert (tmp_path / "state").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_rubbish_is_named_and_left_alone(tmp_path):
    path = tmp_path / "state"
    path.write_bytes(b"rubbish")
    with pytest.raises(CheckpointError, match="state: not a checkpoint of this library"):
        walk(Run(path))
    assert path.read_bytes() == b"rubbish"


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CheckpointError, match=r"file/state: could not be written"):
        walk(Run(tmp_path / "file" / "state", every=1))


def test_divergence_names_step_set_and_advice():
    named = Problem.of(PROBLEM.images, PROBLEM.labels, None, 1, "noise", 3, names=(8,))
    with pytest.raises(DivergenceError, match=r"walk: step 4: the loss of set 8 is nan; lower the learning"):
        walk(Run(), blow_up=4, problem=named)


@pytest.mark.parametrize(("name", "value"), [("every", 0), ("log_every", -1), ("seconds", float("nan"))])
def test_bad_intervals(name, value):
    with pytest.raises(ValueError, match=f"{name} {value}"):
        Run(**{name: value})


CONDENSE = """
import os, signal, sys
import torch
from privacy_for_free.condensation import Run, condense, dm
from privacy_for_free.core.randomness import generator
checkpoint, kill_at, out = sys.argv[1:]
draw = dm.Matcher.loss_and_gradient
def maybe(self, index, images):
    if index == int(kill_at):
        os.kill(os.getpid(), signal.SIGKILL)
    return draw(self, index, images)
dm.Matcher.loss_and_gradient = maybe
images = torch.randn((40, 1, 8, 8), generator=generator(0, "pool"))
method = dm.DM(iterations=12, width=8, batch_real=8)
membership = torch.rand((3, 40), generator=generator(0, "members")) < 0.8
membership[:, :8] = True
found = condense(images, torch.arange(40) % 2, membership, method=method, ipc=2,
                 generator=generator(1, "run"), run=Run(checkpoint, every=5))
torch.save([found.images, found.loss], out)
"""


def test_kill_9_costs_the_chunk_in_hand_and_no_bit(tmp_path):
    def start(checkpoint, kill_at, out):
        command = [
            sys.executable,
            "-c",
            CONDENSE,
            str(tmp_path / checkpoint),
            str(kill_at),
            str(tmp_path / out),
        ]
        return subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)

    assert start("killed", 8, "none").returncode == -signal.SIGKILL
    assert torch.load(tmp_path / "killed", weights_only=True)["step"] == 5
    assert not Path(tmp_path / "none").exists()
    for name in ("killed", "whole"):
        finished = start(name, -1, f"{name}.out")
        assert finished.returncode == 0, finished.stderr
    resumed, whole = (torch.load(tmp_path / f"{name}.out", weights_only=True) for name in ("killed", "whole"))
    for a, b in zip(resumed, whole, strict=True):
        assert torch.equal(a, b)


def test_k9_a_checkpoint_is_held_before_any_step_and_let_go_of_afterwards(tmp_path):  # case 15
    path, seen = tmp_path / "state", []
    message = f"{path}: another process is running this; nothing was run"
    with checkpoint.held(path), pytest.raises(CheckpointError, match=re.escape(message)):
        walk(Run(path), seen=seen)
    assert seen == []
    walk(Run(str(path)), seen=seen)
    assert seen == list(range(7))
    with pytest.raises(DivergenceError):
        walk(Run(tmp_path / "other"), blow_up=2)
    assert os.listdir(tmp_path) == ["state"]


@pytest.mark.parametrize("state", [torch.no_grad, torch.inference_mode])
def test_k1_a_descent_takes_gradients_in_any_state(state):  # case 7
    images = torch.ones(PROBLEM.shape).requires_grad_(True)
    optimiser = torch.optim.SGD([images], lr=0.1)

    def step(index):
        loss = images.square().flatten(1).sum(1)
        optimiser.zero_grad()
        loss.sum().backward()
        optimiser.step()
        return loss

    with state():
        descend("walk", PROBLEM, "any", Run(), images, optimiser, step, 3)
    torch.testing.assert_close(images.detach(), torch.full(PROBLEM.shape, 0.8**3))
