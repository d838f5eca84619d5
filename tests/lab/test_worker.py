"""What a worker of a cluster refuses, and which attempt at a task may keep its state."""

from types import SimpleNamespace

import pytest

from privacy_for_free.experiments.membership import EXPERIMENT
from privacy_for_free.lab import worker
from privacy_for_free.lab.record import RecordError
from privacy_for_free.lab.tasks import TaskRequest


def test_another_machine_is_named():
    ours = {"device": "cpu", "machine": "this", "versions": {}}
    says = r"worker a: machine this, worker b that. A record is of one"
    with pytest.raises(RecordError, match=says):
        worker.agree(ours, ours | {"machine": "that"}, "worker a", "worker b")


def test_several_tasks_in_one_process_are_refused():
    several = SimpleNamespace(state=SimpleNamespace(nthreads=2))
    with pytest.raises(RecordError, match="runs 2 tasks at a time; start workers with --nthreads 1"):
        worker.here("cpu", "privacy_for_free.experiments.linear_dm", several)


def test_checkpoint_is_for_one_attempt_at_a_time_and_for_hosts_that_see_the_run(tmp_path):
    checkpoint = tmp_path / "toy_data-laptop.3.checkpoint"
    with worker.claimed(checkpoint) as given:
        assert given is None  # no run is going on in this folder
    (tmp_path / "toy_data-laptop.lock").touch()
    with worker.claimed(checkpoint) as first, worker.claimed(checkpoint) as second:
        assert (first, second) == (checkpoint, None)
    with worker.claimed(None) as given:
        assert given is None


def test_checkpoint_that_cannot_be_claimed_is_not_handed_over(tmp_path):
    (tmp_path / "toy_data-laptop.lock").touch()
    checkpoint = tmp_path / "toy_data-laptop.3.checkpoint"
    checkpoint.with_suffix(".claim.checkpoint").mkdir()  # cannot be written, as on a read-only share
    with worker.claimed(checkpoint) as given:
        assert given is None


@pytest.mark.parametrize(("work", "given"), [(worker.do_chunk, ("chunk",)), (worker.do_last, ([], []))])
def test_chunks_of_another_source_are_refused(monkeypatch, work, given):
    request = TaskRequest(EXPERIMENT.module, 0, "task", None, 0, "cpu")
    monkeypatch.setattr(worker, "ready", lambda *_: None)
    with pytest.raises(RecordError, match=r"a worker's chunks: source_sha256 \w+, here s+\."):
        work(request, *given, "s" * 64, {}, ())
