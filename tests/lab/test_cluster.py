"""The same table on a cluster, bit for bit, also after a worker was killed; clear errors before any work."""

import gc
import importlib
import os
import re
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from privacy_for_free import data
from privacy_for_free.experiments import linear_dm
from privacy_for_free.lab import chunks, kept, provenance
from privacy_for_free.lab.record import RecordError
from privacy_for_free.lab.run import progress_of, run
from privacy_for_free.lab.sidecar import IDENTITY
from privacy_for_free.lab.store import Store

TESTS = Path(__file__).parents[1]
pytest.importorskip("distributed", reason="needs Dask: pip install -e '.[cluster]'")

from distributed import LocalCluster  # noqa: E402

from privacy_for_free.lab import cluster as clusters  # noqa: E402

# Dask leaves a connection that it was about to open when a cluster is closed.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@pytest.fixture(autouse=True)
def collected():
    """Have what Dask left unclosed found while the filter is in force."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def scheduler():
    """Two workers that know nothing of a run, as `dask worker` would start them; loopback only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(TESTS)  # workers find the toy there
        patch.setenv("OMP_NUM_THREADS", "1")
        with LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            memory_limit=None,
            scheduler_kwargs={"dashboard": False},
        ) as started:
            yield started.scheduler_address


def experiment(name, monkeypatch):
    """Import an experiment of the tests as workers do, but undo afterwards what it replaces."""
    real = provenance.definitions_of
    monkeypatch.syspath_prepend(TESTS)
    module = importlib.import_module(name)  # replaces the function for good
    provenance.definitions_of = real
    monkeypatch.setattr(provenance, "definitions_of", lambda roots: dict(module.toy.DEFINITIONS))
    return module


@pytest.fixture
def toy(monkeypatch):
    return experiment("toy_cluster", monkeypatch)


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def alone(toy, folder, **options):
    """Make the record of an experiment of the tests in this process; marks are left in its folder."""
    dataset = toy.load("toy_data", folder)
    return run(toy.EXPERIMENT, dataset, "laptop", results_dir=folder, shown=False, **options)


def spread(toy, scheduler, folder, marks, **options):
    """Make it on a cluster."""
    marks.mkdir(exist_ok=True)
    with clusters.Cluster(scheduler, data_root=marks, load=toy.load) as workers:
        dataset = toy.load("toy_data", marks)
        options |= {"results_dir": folder, "shown": False, "workers": workers}
        return run(toy.EXPERIMENT, dataset, "laptop", **options)


def test_same_bits_with_and_without_a_cluster(scheduler, tmp_path, one_thread):
    small, dataset = linear_dm.EXPERIMENT, data.load("fashion_mnist_mini")
    sizes = {"pools": (4,), "features": (2, 3), "sizes": ((12, 2),), "normals": 20_000, "chains": 50}
    options = {"device": "cpu", "changes": sizes, "shown": False}
    whole = run(small, dataset, results_dir=tmp_path / "alone", **options)
    with clusters.Cluster(scheduler) as workers:
        found = run(small, dataset, results_dir=tmp_path / "spread", workers=workers, **options)
    assert found.path.read_bytes() == whole.path.read_bytes()
    for key in (*IDENTITY, "machine", "versions", "complete", "format"):
        assert found.meta[key] == whole.meta[key]
    assert found.meta["peak_memory_bytes"] > 50_000_000


@pytest.mark.parametrize("afterwards", [False, True])
def test_what_is_kept_comes_back_from_workers(scheduler, tmp_path, monkeypatch, one_thread, afterwards):
    """From a run, and from chunks that are done again for the files of a complete record."""
    toy = experiment("toy_spread", monkeypatch)
    whole = alone(toy, tmp_path, keep=True)
    if afterwards:
        spread(toy, scheduler, tmp_path / "spread", tmp_path / "marks")
    found = spread(toy, scheduler, tmp_path / "spread", tmp_path / "marks", keep=True)
    assert found.path.read_bytes() == whole.path.read_bytes()
    assert found.meta["kept"] == whole.meta["kept"]
    for name in kept.stated(whole):
        first, second = (kept.Folder(record.path, record.meta).file(name) for record in (whole, found))
        assert first.read_bytes() == second.read_bytes()


def test_killed_worker_costs_its_task_only(toy, scheduler, tmp_path, monkeypatch, one_thread):
    whole = alone(toy, tmp_path)
    marks = tmp_path / "marks"
    marks.mkdir()
    for path in tmp_path.glob("ran*"):
        path.unlink()
    os.mkfifo(marks / "DIE3")
    forget, saved = Store.forget, set()

    def then_kill(store, task):
        """Let task 3 die when all that its worker can have finished before is on the disk."""
        forget(store, task)
        before = set(saved)
        saved.add(task)
        if {0, 1, 2} - before == {task}:
            (marks / "DIE3").write_text("now")

    monkeypatch.setattr(Store, "forget", then_kill)
    killed = spread(toy, scheduler, tmp_path / "killed", marks)
    assert killed.path.read_bytes() == whole.path.read_bytes()
    times = [len((marks / f"ran{task}").read_text().splitlines()) for task in range(6)]
    assert times == [1, 1, 1, 2, 1, 1]
    first, second = (marks / "ran3").read_text().splitlines()
    assert first != second
    assert (marks / "resumed3").exists()  # from the state that the first worker had kept
    assert sorted(path.name for path in killed.path.parent.iterdir()) == [
        "toy_data-laptop.csv",
        "toy_data-laptop.json",
    ]


def test_error_of_a_task_is_raised_here_and_the_run_goes_on_from_there(toy, scheduler, tmp_path, one_thread):
    folder, marks = tmp_path / "results", tmp_path / "marks"
    marks.mkdir()
    (marks / "FAIL5").touch()
    with pytest.raises(toy.DivergenceError, match="task 5: the loss is nan"):
        spread(toy, scheduler, folder, marks)
    state = progress_of(toy.EXPERIMENT, toy.load("toy_data", marks), "laptop", results_dir=folder)
    assert not state.complete
    (marks / "FAIL5").unlink()
    cut = spread(toy, scheduler, folder, marks)
    whole = alone(toy, tmp_path)
    assert cut.path.read_bytes() == whole.path.read_bytes()


def test_a_tasks_own_error_of_the_system_names_its_file(toy, scheduler, tmp_path):
    marks = tmp_path / "marks"
    marks.mkdir()
    (marks / "MISS0").touch()
    says = (
        r"toy_cluster-toy_data-laptop-\w+: stopped with FileNotFoundError: .*'no such file'; finished tasks"
    )
    with pytest.raises(RecordError, match=says):
        spread(toy, scheduler, tmp_path / "results", marks)


def test_workers_that_do_not_fit_are_refused_before_work(toy, scheduler, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(provenance, "definitions_of", lambda roots: {"toy:run": "another"})
        says = r"worker tcp://.*source_sha256 \w{64}, here \w{64}.*one source"
        with pytest.raises(RecordError, match=says):
            spread(toy, scheduler, tmp_path / "results", tmp_path / "marks")
    assert not list(tmp_path.glob("results/*/*.csv"))


def test_worker_of_other_data_stops_the_run(toy, scheduler, tmp_path):
    marks = tmp_path / "marks"
    marks.mkdir()
    dataset = toy.load("toy_data", marks)
    dataset.sha256 = "e" * 64
    with (
        clusters.Cluster(scheduler, data_root=marks, load=toy.load) as workers,
        pytest.raises(RecordError, match=f"data_sha256 {'d' * 64}, the record's {'e' * 64}"),
    ):
        run(toy.EXPERIMENT, dataset, results_dir=tmp_path / "results", shown=False, workers=workers)
    assert not list(marks.glob("ran*"))


def test_complete_record_needs_no_cluster(toy, tmp_path):
    alone(toy, tmp_path)
    nowhere = "tcp://127.0.0.1:9"  # not reached
    assert spread(toy, nowhere, tmp_path, tmp_path / "marks").meta["complete"]


def test_no_scheduler_is_one_clear_error(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(clusters, "CONNECT_SECONDS", 0.5)
    with pytest.raises(
        RecordError,
        match=r"cluster tcp://127\.0\.0\.1:9: no scheduler answers there \(.*after 0\.5 s\)",
    ):
        spread(toy, "tcp://127.0.0.1:9", tmp_path / "results", tmp_path / "marks")
    assert not (tmp_path / "results").exists()


class Client:
    """Stands in for Dask's where no worker has come yet, and `run` finds what is given."""

    def __init__(self, found):
        self.found = found

    def nthreads(self):
        return {}

    def wait_for_workers(self, number):
        assert number == 1

    def run(self, *_, **__):
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ({}, "cluster tcp://host:8786: its workers have left; nothing was run"),
        (OSError("connection reset"), r"cluster tcp://host:8786: gone \(connection reset\); nothing was run"),
    ],
)
def test_waiting_is_said_and_workers_that_leave_again_are_one_clear_error(monkeypatch, capsys, found, says):
    workers = clusters.Cluster("tcp://host:8786")
    monkeypatch.setattr(workers, "connect", lambda device: Client(found))
    with pytest.raises(RecordError, match=says):
        workers.describe(linear_dm.EXPERIMENT, "cpu", {})
    assert capsys.readouterr().err == "cluster tcp://host:8786: waiting for a worker\n"


def test_local_workers_have_cores_of_their_own():
    with clusters.Cluster("local", workers=2) as workers:
        client = workers.connect("cpu")
        shares = [set(found) for found in client.run(os.sched_getaffinity, 0).values()]
        assert all(shares)
        if len(os.sched_getaffinity(0)) > 1:
            assert not shares[0] & shares[1]
        environment = client.run(os.getenv, "TQDM_DISABLE")
        assert set(environment.values()) == {"1"}


@pytest.mark.parametrize(
    ("where", "workers", "says"),
    [
        ("loca", None, "cluster 'loca': allowed are local, or an address such as tcp://host:8786"),
        ("tcp://host", None, "cluster 'tcp://host': allowed are local"),
        ("local", 0, "workers 0: allowed are whole numbers from 1 up"),
        ("local", "2", "workers '2': allowed are whole numbers from 1 up"),
        ("local", True, "workers True: allowed are whole numbers from 1 up"),
        (8786, None, "cluster 8786: allowed are local"),
        ("host:8786", 3, "workers 3: allowed with cluster local only"),
        ("ucx://host:8786", None, "cluster 'ucx://host:8786': allowed are local"),
        ("tls://host:8786", None, "Dask's configuration names no certificates"),
        ("wss://host:8786", None, "allowed without any are tcp:// and ws://"),
    ],
)
def test_mistakes_are_named_with_what_is_allowed(where, workers, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        clusters.Cluster(where, workers)


def test_k2_a_number_of_workers_may_be_numpys_and_a_data_root_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))  # cases 11, 16
    named = clusters.Cluster("local", np.int64(2), "~/data")
    assert (named.workers, type(named.workers), named.data_root) == (2, int, str(tmp_path / "data"))


@pytest.fixture
def chunked(monkeypatch):
    return experiment("toy_spread", monkeypatch)


def times(marks):
    return {path.name[3:]: len(path.read_text().splitlines()) for path in marks.glob("ran*")}


ONCE = {"0": 1, "1": 1} | {f"{task}-{chunk}": 1 for task in range(2) for chunk in range(4)}


def test_chunks_of_a_task_make_the_table_of_the_whole(chunked, scheduler, tmp_path, one_thread):
    whole = alone(chunked, tmp_path)
    found = spread(chunked, scheduler, tmp_path / "spread", tmp_path / "marks")
    assert found.path.read_bytes() == whole.path.read_bytes()
    assert times(tmp_path / "marks") == ONCE
    assert len({path.read_text() for path in (tmp_path / "marks").glob("ran?-?")}) == 2  # both workers
    assert sorted(path.name for path in found.path.parent.iterdir()) == [
        "toy_data-laptop.csv",
        "toy_data-laptop.json",
    ]


@pytest.mark.parametrize(("dying", "after"), [("0-2", 7), ("1", 8)])
def test_killed_worker_costs_its_chunk_only(
    chunked, scheduler, tmp_path, monkeypatch, one_thread, dying, after
):
    """Or the last step of a task, whose chunks are sent again."""
    whole = alone(chunked, tmp_path)
    marks = tmp_path / "marks"
    marks.mkdir()
    os.mkfifo(marks / f"DIE{dying}")
    keep, kept = chunks.Split.keep, []

    def then_kill(split, number, found):
        """Let the work end its process when all chunks done before it are kept here."""
        keep(split, number, found)
        kept.append(number)
        if len(kept) == after:
            threading.Thread(target=(marks / f"DIE{dying}").write_text, args=("now",)).start()

    monkeypatch.setattr(chunks.Split, "keep", then_kill)
    killed = spread(chunked, scheduler, tmp_path / "killed", marks)
    assert killed.path.read_bytes() == whole.path.read_bytes()
    assert times(marks) == ONCE | {dying: 2}
    first, second = (marks / f"ran{dying}").read_text().splitlines()
    assert first != second


def test_a_run_cut_off_keeps_its_chunks(chunked, scheduler, tmp_path, monkeypatch, one_thread):
    marks, folder = tmp_path / "marks", tmp_path / "cut"
    keep, kept = chunks.Split.keep, []

    def then_stop(split, number, found):
        keep(split, number, found)
        kept.append(f"{split.request.index}-{number}")
        if len(kept) == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(chunks.Split, "keep", then_stop)
        with pytest.raises(KeyboardInterrupt):
            spread(chunked, scheduler, folder, marks)
    left = {path.name for path in folder.glob("toy_spread/*.checkpoint")}
    assert left == {f"toy_data-laptop.{name.replace('-', '.chunk-')}.checkpoint" for name in kept}
    again = tmp_path / "again"
    resumed = spread(chunked, scheduler, folder, again)
    assert times(again) == {name: 1 for name in ONCE if name not in kept}
    whole = alone(chunked, tmp_path)
    assert resumed.path.read_bytes() == whole.path.read_bytes()
