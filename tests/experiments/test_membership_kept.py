"""What a record of membership keeps is enough to attack it again: its own rows come back bit for bit."""

import dataclasses

import pandas as pd
import pytest
import torch

from privacy_for_free.attacks import evaluation
from privacy_for_free.attacks.confidences import logit_scaled_confidence
from privacy_for_free.condensation import dm, gradient_matching, kip
from privacy_for_free.experiments.membership import EXPERIMENT, again
from privacy_for_free.experiments.membership.design import FULL, Design, Task
from privacy_for_free.experiments.membership.keeping import kept as declared
from privacy_for_free.lab import chunks, kept, run
from privacy_for_free.lab.record import RecordError
from privacy_for_free.lab.sidecar import IDENTITY
from privacy_for_free.lab.tasks import TaskRequest, execute
from privacy_for_free.nets import training
from privacy_for_free.nets.schedule import Schedule

TIMES = ["condense_seconds", "train_seconds"]
META = dict.fromkeys((*IDENTITY, "source_sha256", "machine", "versions"), "any")
DESIGN = Design(
    pool=200,
    shadows=10,
    fewer=(8,),
    cells=(
        ("random_subset", "real", 0.1, 10),
        ("dm", "noise", 0.1, 10),
        ("kip", "noise", 0.1, 8),
        ("dsa", "real", 0.1, 8),
        ("full", "real", FULL, 10),
    ),
    width=4,
    dm=dm.DM(iterations=3, batch_real=8, width=4),
    dsa=gradient_matching.GradientMatching(iterations=1, batch_real=8, width=4, inner_loop=1, outer_loop=1),
    kip=kip.KIP(iterations=1, batch_targets=20),
    schedule=Schedule(epochs=2, learning_rate=0.03),
    full_schedule=Schedule(epochs=1, learning_rate=0.05, batch=32),
    queries=("identity", "flip"),
    resamples=50,
)
SMALL = dataclasses.replace(EXPERIMENT, profiles={"smoke": DESIGN})
OPTIONS = {"device": "cpu", "shown": False}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def record(memorable, folder):
    return run.run(SMALL, memorable, results_dir=folder, keep=True, **OPTIONS)


def test_keeping_changes_no_row(record, memorable):
    plain = run.run(SMALL, memorable, **OPTIONS)
    pd.testing.assert_frame_equal(
        record.table.drop(columns=TIMES), plain.table.drop(columns=TIMES), check_exact=True
    )
    assert "kept" not in plain.meta


def test_rows_from_kept_files_are_the_records(record, memorable, monkeypatch):
    def trained(*given):
        raise AssertionError("a network was trained")

    monkeypatch.setattr(training, "train", trained)
    rows = list(again.rows(again.releases(record, memorable, experiment=SMALL)))
    wanted = record.table.drop(columns=[*TIMES, "task"])
    found = pd.DataFrame(rows)[list(wanted.columns)].reset_index(drop=True)
    pd.testing.assert_frame_equal(found, wanted, check_exact=True, check_dtype=False)


def test_another_attack_is_scored_without_training(record, memorable):
    """From float16 logits, the margin to the second class: as the loss, but for the network's scale."""

    def margin(release):
        labels = release.inputs.pool.labels
        scores = release.logits[:, :, 0].double()
        own = scores.gather(-1, labels.expand(len(scores), -1)[..., None])[..., 0]
        other = scores.scatter(-1, labels.expand(len(scores), -1)[..., None], -torch.inf).amax(-1)
        return [evaluation.Attempt("network", "margin", evaluation.NETWORK["lira_online_fixed"], own - other)]

    rows = list(again.rows(again.releases(record, memorable, experiment=SMALL), margin))
    assert {row["attack"] for row in rows} == {"margin"}
    assert {row["method"] for row in rows} == {"random_subset", "dm", "kip", "dsa", "full"}
    assert all(0 <= row["auc"] <= 1 for row in rows)
    assert any(row["difference"] is not None for row in rows)


def test_float16_logits_give_the_confidences_to_their_precision(record, memorable):
    """A logit of size s is off by s / 2048 at most, a confidence by two of those."""
    for release in again.releases(record, memorable, experiment=SMALL):
        labels = release.inputs.pool.labels[None, :, None].expand(release.confidences.shape)
        logits = release.logits.double()
        error = (logit_scaled_confidence(logits, labels) - release.confidences).abs()
        assert bool((error <= 2 * logits.abs().amax(-1) / 2**11 + 2**-24).all())
        assert bool((error > 0).any())  # or they were not kept in float16


def test_files_are_what_is_declared(record, memorable):
    wanted = declared(Task(0.1), DESIGN, memorable) | declared(Task(FULL), DESIGN, memorable)
    assert kept.stated(record) == wanted == kept.declared(SMALL, DESIGN, memorable)
    place = kept.Folder(record.path, record.meta)
    assert {place.file(name) for name in wanted} == set(place.path.rglob("*.npy"))
    assert not list(place.path.parent.glob("*.lock"))
    pool = kept.load(record, "pool")
    labels = memorable.train_labels[pool["indices"]]
    assert torch.equal(labels, pool["labels"])
    assert pool["membership"].sum(1).tolist() == [100] * 10


def test_a_record_of_other_data_or_settings_is_refused(record, memorable):
    other = type(memorable)(**{**vars(memorable), "sha256": "1" * 64})
    with pytest.raises(RecordError, match="of data 000000000000, given are 111111111111"):
        list(again.releases(record, other, experiment=SMALL))
    wide = dataclasses.replace(SMALL, profiles={"smoke": dataclasses.replace(DESIGN, width=8)})
    with pytest.raises(RecordError, match="made with other settings than today's"):
        list(again.releases(record, memorable, experiment=wide))


@pytest.mark.parametrize("ratio", [0.1, FULL])
def test_chunks_keep_the_files_of_the_whole(tmp_path, monkeypatch, memorable, ratio):
    """What a cluster's workers keep is bit for bit what one process keeps."""
    monkeypatch.setattr("privacy_for_free.experiments.membership.chunks.MINIMUM_SHADOWS", 5)
    path = tmp_path / "toy-smoke.0.checkpoint"
    request = TaskRequest(EXPERIMENT.module, 0, Task(ratio), DESIGN, 3, "cpu", path, keep=True)
    whole = execute(dataclasses.replace(request, checkpoint=None), EXPERIMENT, memorable).kept
    split = chunks.Split.of(request, memorable, META)
    assert len(split.chunks) > 1
    for number in reversed(split.missing):
        split.keep(number, chunks.run_chunk(request, split.chunks[number], memorable))
    parts = chunks.finish(request, split.chunks, split.results(), memorable).kept
    assert parts.keys() == whole.keys()
    assert all(parts[name].tobytes() == whole[name].tobytes() for name in whole)
    nothing = dataclasses.replace(request, keep=False)
    assert len(chunks.Split.of(nothing, memorable, META).missing) == len(
        split.chunks
    )  # of those without logits


def test_a_task_cut_off_keeps_the_same_files(tmp_path, monkeypatch, memorable, record):
    monkeypatch.setattr("privacy_for_free.shadows.answers.SAVE_SECONDS", -1.0)
    trained, train = [], training.train

    def killed(*given):
        trained.append(given[-1])
        if len(trained) == 13:
            raise KeyboardInterrupt
        return train(*given)

    monkeypatch.setattr(training, "train", killed)
    with pytest.raises(KeyboardInterrupt):
        run.run(SMALL, memorable, results_dir=tmp_path, keep=True, **OPTIONS)
    assert not list(tmp_path.rglob("*.npy"))
    resumed = run.run(SMALL, memorable, results_dir=tmp_path, keep=True, **OPTIONS)
    assert resumed.meta["kept"] == record.meta["kept"]
    assert not list(tmp_path.rglob("*checkpoint*"))


def test_a_run_begun_without_logits_goes_on_with_them(tmp_path, monkeypatch, memorable, record):
    monkeypatch.setattr("privacy_for_free.shadows.answers.SAVE_SECONDS", -1.0)
    trained, train = [], training.train

    def killed(*given):
        trained.append(given[-1])
        if len(trained) == 13:
            raise KeyboardInterrupt
        return train(*given)

    monkeypatch.setattr(training, "train", killed)
    with pytest.raises(KeyboardInterrupt):
        run.run(SMALL, memorable, results_dir=tmp_path, **OPTIONS)
    resumed = run.run(SMALL, memorable, results_dir=tmp_path, keep=True, **OPTIONS)
    assert resumed.meta["kept"] == record.meta["kept"]
    assert trained[13:23] == list(range(10))  # the first networks are asked again
