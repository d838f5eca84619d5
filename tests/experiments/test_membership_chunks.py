"""A task in chunks of shadows is the task, bit for bit, and nothing is condensed or trained twice."""

from types import SimpleNamespace

import pandas as pd
import pytest
import torch

from privacy_for_free.condensation import dm, gradient_matching, kip
from privacy_for_free.core import progress
from privacy_for_free.core.errors import CheckpointError
from privacy_for_free.experiments import linear_dm, membership
from privacy_for_free.experiments.membership.chunks import split as split_task
from privacy_for_free.experiments.membership.design import FULL, Design, Task, images_per_class, tasks
from privacy_for_free.experiments.membership.measure import run
from privacy_for_free.lab import chunks, table_text
from privacy_for_free.lab.store import IDENTITY
from privacy_for_free.lab.tasks import TaskRequest
from privacy_for_free.nets import training
from privacy_for_free.nets.schedule import Schedule

CPU = torch.device("cpu")
META = dict.fromkeys((*IDENTITY, "source_sha256", "machine", "versions"), "any")
TIMES = ["condense_seconds", "train_seconds"]
DESIGN = Design(
    pool=200,
    shadows=12,
    fewer=(8,),
    cells=(
        ("random_subset", "real", 0.1, 12),
        ("dm", "real", 0.1, 12),
        ("dm", "noise", 0.1, 12),
        ("kip", "noise", 0.1, 8),
        ("dsa", "real", 0.1, 10),
        ("full", "real", FULL, 12),
    ),
    width=16,
    dm=dm.DM(iterations=3, batch_real=8, width=4),
    dsa=gradient_matching.GradientMatching(iterations=2, batch_real=8, width=4, inner_loop=1, outer_loop=1),
    kip=kip.KIP(iterations=3, batch_targets=20),
    schedule=Schedule(epochs=4, learning_rate=0.03),
    full_schedule=Schedule(epochs=2, learning_rate=0.05, batch=32),
    resamples=50,
)


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr("privacy_for_free.experiments.membership.chunks.MINIMUM_SHADOWS", 5)


def request(task, checkpoint=None):
    index = [0.1, FULL].index(task.ratio)
    return TaskRequest(membership.__name__, index, task, DESIGN, 3, "cpu", checkpoint)


@pytest.mark.parametrize("ratio", [0.1, FULL])
def test_chunks_make_the_rows_of_the_whole(small_chunks, monkeypatch, tmp_path, ratio, memorable):
    data, task = memorable, Task(ratio)
    whole = run(task, DESIGN, data, 3, CPU)
    split = chunks.Split.of(request(task, tmp_path / "toy-smoke.0.checkpoint"), data, META)
    for number in reversed(range(len(split.chunks))):  # in any order
        split.keep(number, chunks.run_chunk(split.request, split.chunks[number], data))
    assert split.missing == []
    again = chunks.Split.of(split.request, data, META)
    assert again.missing == []
    steps, work = [], progress.bar

    def nothing_to_train(*given):
        raise AssertionError("a network was trained again")

    def counted(indices, *given):
        steps.append(len(indices))
        return work(indices, *given)

    monkeypatch.setattr(training, "train", nothing_to_train)
    monkeypatch.setattr(progress, "bar", counted)
    done = chunks.finish(again.request, again.chunks, again.results(), data)
    assert not any(steps)  # all of them are behind the checkpoints
    columns = membership.EXPERIMENT.column_names
    table = table_text.frame(table_text.whole(columns, {0: done.block}))
    expected = table_text.frame(table_text.whole(columns, {0: table_text.block(whole, columns, done.index)}))
    pd.testing.assert_frame_equal(table.drop(columns=TIMES), expected.drop(columns=TIMES), check_exact=True)
    assert done.seconds >= sum(result.seconds for result in again.results())


def covered(found, cell):
    return [k for chunk in found if chunk.cell == cell for k in range(chunk.first, chunk.last)]


def test_every_shadow_of_a_cell_is_in_one_chunk(small_chunks, memorable):
    found = split_task(Task(0.1), DESIGN, memorable, CPU)
    assert list(dict.fromkeys(chunk.cell for chunk in found)) == list(DESIGN.cells[:-1])
    for cell in DESIGN.cells[:-1]:
        assert covered(found, cell) == list(range(cell[3]))
    sizes = {chunk.cell.method: chunk.last - chunk.first for chunk in found}
    assert sizes == {"random_subset": 6, "dm": 6, "kip": 8, "dsa": 5}
    assert split_task(Task(0.1), DESIGN, memorable, torch.device("cuda")) == []


@pytest.mark.parametrize("profile", ["laptop", "paper"])
@pytest.mark.parametrize("classes", [2, 10])
def test_no_chunk_of_dm_spends_most_on_what_chunks_share(profile, classes):
    design = membership.EXPERIMENT.profiles[profile]
    labels = torch.arange(classes).repeat(50_000 // classes)
    data = SimpleNamespace(classes=range(classes), train_labels=labels)
    for task in tasks(design, data):
        found = split_task(task, design, data, CPU)
        for cell in (cell for cell in design.cells if cell[2] == task.ratio):
            assert covered(found, cell) == list(range(cell[3]))
        for chunk in (chunk for chunk in found if chunk.cell.method == "dm"):
            ipc = images_per_class(chunk.cell.ratio, design, classes)
            own = 3 * ipc * (chunk.last - chunk.first)
            assert own >= 2 * design.dm.batch_real or chunk.last - chunk.first == chunk.cell.shadows


def test_a_task_begun_whole_stays_whole(tmp_path, memorable):
    path = tmp_path / "toy-smoke.0.checkpoint"
    given = request(Task(0.1), path)
    assert chunks.Split.of(given, memorable, META) is not None
    path.with_suffix(".dm-real.sets.checkpoint").touch()
    assert chunks.Split.of(given, memorable, META) is None
    other = request(Task(FULL), tmp_path / "toy-smoke.1.checkpoint")
    assert chunks.Split.of(other, memorable, META) is not None


def test_chunks_of_another_run_are_refused(tmp_path, memorable):
    given = request(Task(FULL), tmp_path / "toy-smoke.1.checkpoint")
    split = chunks.Split.of(given, memorable, META)
    split.keep(0, chunks.Found({"seconds": 1.0}, 1.0, 2))
    assert chunks.Split.of(given, memorable, META).missing == list(range(1, len(split.chunks)))
    with pytest.raises(CheckpointError, match=r"chunk-0\.checkpoint: begun with other data"):
        chunks.Split.of(given, memorable, META | {"seed": 4})


def test_chunks_of_another_source_are_refused(tmp_path, monkeypatch, memorable):
    given = request(Task(FULL), tmp_path / "toy-smoke.1.checkpoint")
    chunks.Split.of(given, memorable, META).keep(0, chunks.Found({"seconds": 1.0}, 1.0, 2))
    monkeypatch.setattr(chunks, "source_sha256", lambda experiment: "t" * 64)
    with pytest.raises(CheckpointError, match=r"remove toy-smoke\.1\.chunk-\*\.checkpoint to have"):
        chunks.Split.of(given, memorable, META)


def test_experiments_without_chunks_have_none():
    assert linear_dm.EXPERIMENT.chunks is None
    assert chunks.source_sha256(linear_dm.__name__) is None
    assert membership.EXPERIMENT.chunks.roots == tuple(
        f"{membership.__name__}.chunks:{name}" for name in ("split", "run", "assemble")
    )
