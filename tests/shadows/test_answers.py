"""Trained shadows and their answers: the same bits however the work is shared, and when it was cut off."""

import pytest
import torch

from privacy_for_free import shadows
from privacy_for_free.attacks.confidences import logit_scaled_confidence
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
