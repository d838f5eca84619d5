"""Trained shadows and their answers: the same bits however the work is shared, and when it was cut off."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
import torch

from privacy_for_free import shadows
from privacy_for_free.attacks.confidences import logit_scaled_confidence
from privacy_for_free.core import checkpoint
from privacy_for_free.core.errors import CheckpointError
from privacy_for_free.nets import networks, training
from privacy_for_free.nets.schedule import Schedule
from privacy_for_free.shadows.answers import Answers, stacked

SCHEDULE = Schedule(epochs=3, learning_rate=0.05, batch=16)
NETWORK = networks.ConvNet(1, 8, 2, 4)


def close(found, wanted):
    """One network alone and among others sums in another order, in float32, on some processors."""
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def answers(pool, sets, names, **options):
    found = list(shadows.confidences(NETWORK, pool, sets, SCHEDULE, 3, names, **options))
    return torch.stack([answer for answer, _ in found]), torch.stack([right for _, right in found])


def test_networks_are_those_of_a_loop(pool):
    sets = [shadows.release(pool, "random_subset", "real", 4, None, 0).flat(k) for k in range(6)]
    found, right = answers(pool, sets, range(6), queries=("identity", "flip"), workers=1)
    assert found.shape == (6, 80, 2)
    for k in range(6):
        trained = training.train(NETWORK, *sets[k], SCHEDULE, 3, k)
        for q, images in enumerate((pool.images, pool.images.flip(3))):
            logits = training.logits(NETWORK, trained, images)
            close(found[k, :, q], logit_scaled_confidence(logits, pool.labels))
            if q == 0:
                assert torch.equal(right[k], logits.argmax(1) == pool.labels)


def test_without_sets_a_network_learns_its_half(pool):
    found, _ = answers(pool, None, [2, 4], workers=1)
    for row, k in enumerate((2, 4)):
        inside = pool.membership[k]
        trained = training.train(NETWORK, pool.images[inside], pool.labels[inside], SCHEDULE, 3, k)
        logits = training.logits(NETWORK, trained, pool.images)
        close(found[row, :, 0], logit_scaled_confidence(logits, pool.labels))


def test_same_bits_in_workers_and_in_parts(pool):
    sets = [shadows.release(pool, "random_subset", "real", 4, None, 0).flat(k) for k in range(6)]
    whole, right = answers(pool, sets, range(6), workers=1)
    spread, its = answers(pool, sets, range(6), workers=2)
    assert torch.equal(whole, spread)
    assert torch.equal(right, its)
    later, _ = answers(pool, sets[4:], [4, 5], workers=1)
    assert torch.equal(whole[4:], later)


def test_stacked_as_on_a_gpu(pool, monkeypatch):
    sets = [shadows.release(pool, "random_subset", "real", 4, None, 0).flat(k) for k in range(6)]
    whole, _ = answers(pool, sets, range(6), workers=1)
    monkeypatch.setattr("privacy_for_free.shadows.answers.STACK_BYTES", 2 * sets[0][0].numel() * 4)
    jobs = [(k, *sets[k]) for k in range(6)]
    found = list(stacked(NETWORK, pool, jobs, SCHEDULE, 3))
    close(torch.stack([answer for answer, _ in found]), whole)
    assert not list(stacked(NETWORK, pool, [], SCHEDULE, 3))


def test_bad_queries_and_failing_workers(pool, training_set):
    with pytest.raises(ValueError, match="known are identity, flip, one or more"):
        answers(pool, None, [0], queries=("rotate",))
    with pytest.raises(ValueError, match="one or more"):
        answers(pool, None, [0], queries=())
    images, labels = (values[:4] for values in training_set)
    with pytest.raises(ValueError, match="labels"):  # from a worker, as from this process
        answers(pool, [(images, labels.float())] * 2, [0, 1], workers=2)


def saying(names):
    """Answers of networks that say their own name, three images each."""
    for name in names:
        yield torch.full((3, 1), float(name), dtype=torch.float64), torch.tensor([True, False, name % 2 == 0])


def test_gathered_answers_are_in_order():
    found = shadows.gather(saying, range(4))
    assert found.confidences[:, 0, 0].tolist() == [0, 1, 2, 3]
    assert found.confidences.shape == (4, 3, 1)
    assert found.correct[:, 2].tolist() == [True, False, True, False]
    assert found.seconds >= 0


def test_a_gathering_cut_off_goes_on_where_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr("privacy_for_free.shadows.answers.SAVE_SECONDS", -1.0)
    path, asked = tmp_path / "answers.checkpoint", []

    def dies(names):
        asked.append(list(names))
        yield from saying(names[:2])
        raise KeyboardInterrupt

    keep = {"checkpoint": path, "key": "k"}
    with pytest.raises(KeyboardInterrupt):
        shadows.gather(dies, range(4), **keep)
    with pytest.raises(CheckpointError, match="begun with other data"):
        shadows.gather(saying, range(4), checkpoint=path, key="other")

    def noted(names):
        asked.append(list(names))
        yield from saying(names)

    found = shadows.gather(noted, range(4), **keep)
    assert torch.equal(found.confidences, shadows.gather(saying, range(4)).confidences)
    again = shadows.gather(noted, range(4), **keep)
    assert asked == [[0, 1, 2, 3], [2, 3], []]
    assert again.seconds >= found.seconds > 0
    assert torch.equal(again.correct, found.correct)


def test_a_checkpoint_without_a_key_is_refused(pool, tmp_path):
    path = tmp_path / "answers.checkpoint"
    message = "key '': allowed with a checkpoint is a digest of what determines the answers"
    with pytest.raises(ValueError, match=message):
        shadows.gather(saying, range(4), checkpoint=path)
    with pytest.raises(ValueError, match=message):
        shadows.train_and_ask(NETWORK, pool, None, SCHEDULE, 3, range(6), checkpoint=path)
    assert not path.exists()


def test_a_kill_costs_what_was_done_since_the_last_save(tmp_path, monkeypatch):
    saves = []
    monkeypatch.setattr(Answers, "save", lambda found, path, key: saves.append(len(found.correct)))
    shadows.gather(saying, range(4), checkpoint=tmp_path / "answers.checkpoint", key="k")
    assert saves == [4]  # SAVE_SECONDS have not passed before the end


def test_train_and_ask_resumes_bitwise(pool, tmp_path, monkeypatch):
    monkeypatch.setattr("privacy_for_free.shadows.answers.SAVE_SECONDS", -1.0)
    sets = [shadows.release(pool, "random_subset", "real", 4, None, 0).flat(k) for k in range(6)]
    expected, right = answers(pool, sets, range(6), workers=1)
    path, train, trained = tmp_path / "answers.checkpoint", training.train, []

    def killed(*given):
        trained.append(given[-1])
        if len(trained) == 4:
            raise KeyboardInterrupt
        return train(*given)

    monkeypatch.setattr(training, "train", killed)
    given = (NETWORK, pool, sets, SCHEDULE, 3, range(6))
    with pytest.raises(KeyboardInterrupt):
        shadows.train_and_ask(*given, checkpoint=path, key="k")
    found = shadows.train_and_ask(*given, checkpoint=path, key="k")
    assert trained == [0, 1, 2, 3, 3, 4, 5]
    assert torch.equal(found.confidences, expected)
    assert torch.equal(found.correct, right)


def test_saved_answers_are_gathered_without_work(tmp_path):
    whole = shadows.gather(saying, range(4))
    path = tmp_path / "answers.checkpoint"
    whole.save(path, "k")

    def nothing(names):
        assert len(names) == 0
        yield from ()

    found = shadows.gather(nothing, range(4), checkpoint=path, key="k")
    assert torch.equal(found.confidences, whole.confidences)
    assert found.seconds >= whole.seconds


SCRIPT = """
import torch
from privacy_for_free import shadows
from privacy_for_free.nets import networks
from privacy_for_free.nets.schedule import Schedule
from privacy_for_free.shadows import answers

answers.MINIMUM_WORK = 1
answers.devices.usable_cores = lambda: 2
pool = shadows.draw(torch.zeros(16, 1, 8, 8), torch.arange(16) % 2, 8, 2, 0)
network = networks.build("mlp", (1, 8, 8), 2, 4)
try:
    print(len(list(shadows.confidences(network, pool, None, Schedule(epochs=1), 0, range(2)))))
except ValueError as error:
    print(error)
"""


def test_k5_a_script_without_a_guard_is_told_to_have_one(tmp_path):  # case 48
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    ran = subprocess.run([sys.executable, tmp_path / "script.py"], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith(
        "workers 2: a process ended before its work. Guard the script with `if __name__"
    )
    assert "or pass workers=1" in ran.stdout
    assert ran.stdout.count("\n") == 1
    assert ran.stderr == ""


def test_k5_a_script_that_cannot_be_imported_stays_in_its_process(tmp_path):  # case 48
    ran = subprocess.run([sys.executable, "-"], input=SCRIPT, capture_output=True, text=True, check=True)
    assert (ran.stdout, ran.stderr) == ("2\n", "")


def test_k1_the_number_of_threads_and_the_variables_are_the_callers_while_answers_come(pool):
    before, variables = torch.get_num_threads(), dict(os.environ)
    try:
        found = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            for confidence, _ in shadows.confidences(NETWORK, pool, None, SCHEDULE, 3, [2], workers=1):
                assert torch.get_num_threads() == threads
                assert dict(os.environ) == variables
                found.append(confidence)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


@pytest.mark.parametrize("state", [torch.no_grad, torch.inference_mode])
def test_k1_a_state_of_the_caller_changes_no_bit(pool, state):  # case 7
    wanted, _ = answers(pool, None, [2], workers=1)
    with state():
        found = shadows.train_and_ask(NETWORK, pool, None, SCHEDULE, 3, [2])
    assert torch.equal(found.confidences, wanted)


def test_k2_numbers_of_numpy_and_paths_as_text(pool, tmp_path):  # cases 9 and 11
    wanted, _ = answers(pool, None, [2, 4], workers=1)
    given = (NETWORK, pool, None, SCHEDULE, np.int64(3), np.array([2, 4]))
    path = tmp_path / "answers"
    found = shadows.train_and_ask(*given, checkpoint=str(path), key="k", workers=np.int64(1))
    assert torch.equal(found.confidences, wanted)
    assert path.exists()
    found.save(str(tmp_path / "copy"), "k")
    assert torch.equal(
        shadows.gather(saying, [2, 4], checkpoint=tmp_path / "copy", key="k").correct, found.correct
    )
    with pytest.raises(ValueError, match="path 3: allowed is a path"):
        found.save(3, "k")


def test_k2_sets_of_numpy_are_what_they_stand_for(pool):  # case 9
    sets = [(pool.images[:8], pool.labels[:8]), (pool.images[8:20], pool.labels[8:20])]
    wanted, _ = answers(pool, sets, [0, 1], workers=1)
    arrays = [(images.numpy(), labels.numpy().astype("int16")) for images, labels in sets]
    found, _ = answers(pool, arrays, [0, 1], workers=1)
    assert torch.equal(found, wanted)


def test_k9_a_checkpoint_is_held_by_one_gathering_at_a_time(tmp_path):  # case 15
    path, asked = tmp_path / "answers", []

    def noted(names):
        asked.append(list(names))
        yield from saying(names)

    message = f"{path}: another process is running this; nothing was run"
    with checkpoint.held(path), pytest.raises(CheckpointError, match=re.escape(message)):
        shadows.gather(noted, range(4), checkpoint=path, key="k")
    assert asked == []
    shadows.gather(noted, range(4), checkpoint=path, key="k")
    assert os.listdir(tmp_path) == ["answers"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"names": [6]}, "names 6: allowed without sets are 0 to 5"),
        ({"names": ["a"]}, r"names\[0\] 'a': allowed are whole numbers"),
        ({"workers": 0}, "workers 0: allowed are whole numbers from 1 up"),
        ({"workers": "2"}, "workers '2': allowed are whole numbers"),
        ({"sets": [(torch.zeros(4, 1, 8, 8), torch.arange(4) % 2)] * 2}, "sets: 2 for 1 names"),
        ({"sets": [(torch.zeros(4, 1, 8, 8) / 0, torch.arange(4) % 2)]}, r"sets\[0\]\[0\]: nan at"),
        (
            {"sets": [([1.0], torch.arange(4) % 2)]},
            r"sets\[0\]\[0\] list \[1.0\]: allowed is a torch tensor",
        ),
        ({"queries": "identity"}, "queries 'identity': allowed is a sequence"),
    ],
)
def test_k2_what_does_not_fit_is_one_refusal(pool, options, message):
    given = {"sets": None, "names": [0]} | options
    with pytest.raises(ValueError, match=message):
        answers(pool, **given)


def test_k2_a_gathering_of_no_names_is_refused():
    with pytest.raises(ValueError, match=r"names .*: allowed are one or more"):
        shadows.gather(saying, [])
