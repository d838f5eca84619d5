"""Chapters check their parameters before any work, and draw from the largest record there is."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from privacy_for_free import data, experiments
from privacy_for_free.book import chapter as chapters
from privacy_for_free.book.chapter import beginning, open_chapter
from privacy_for_free.lab import settings
from privacy_for_free.stats.intervals import Interval

GOOD = {"dataset": "fashion_mnist_mini", "profile": "smoke", "seed": 0, "device": "cpu"}


def chapter(results_dir=None, **changed):
    return open_chapter(**{**GOOD, **changed}, data_root=None, results_dir=results_dir)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"dataset": "nonsense"}, "fashion_mnist_mini, fashion_mnist"),
        ({"profile": "nonsense"}, "smoke, laptop, paper"),
        ({"device": "nonsense"}, "auto, cpu, cuda"),
        ({"seed": "0"}, "from 0 up"),
        ({"seed": True}, "from 0 up"),
        ({"profile": 3}, "smoke, laptop, paper"),
        ({"dataset": 5}, "fashion_mnist_mini, fashion_mnist"),
        ({"device": None}, "auto, cpu, cuda"),
    ],
)
def test_wrong_value_is_named_with_what_is_allowed(wrong, says):
    with pytest.raises(ValueError, match=says) as error:
        chapter(**wrong)
    assert repr(next(iter(wrong.values()))) in str(error.value)


@pytest.mark.parametrize("name", ["data_root", "results_dir"])
@pytest.mark.parametrize("value", [2024, "", ["data"]])
def test_k7_a_folder_that_is_no_path_is_refused_by_name(name, value):  # case 41
    with pytest.raises(ValueError, match=f"^{name} .*: allowed is a path, given as text"):
        open_chapter(**GOOD, **{"data_root": None, "results_dir": None, name: value})


def test_k7_a_folder_in_the_home_folder_is_found(tmp_path, monkeypatch):  # case 16
    monkeypatch.setenv("HOME", str(tmp_path))
    opened = open_chapter(**GOOD, data_root="~/data", results_dir="~/res")
    assert (opened.data_root, opened.results_dir) == (tmp_path / "data", tmp_path / "res")


def test_k2_a_seed_of_numpys_is_a_whole_number():  # case 11
    assert type(chapter(seed=np.int64(3)).seed) is int
    assert chapter(seed=np.int64(3)) == chapter(seed=3)


CELL = (
    "dataset = 'mnist'\nprofile = 'smoke'\nseed = 0\ndevice = 'auto'\ndata_root = results_dir = None\nn = 5"
)


@pytest.mark.parametrize(
    ("injected", "says"),
    [
        ("N = 10", "parameter N 10: known are dataset, profile, seed, device, data_root, results_dir, n"),
        ("seed = 1\nsead = 2\nm = 'x'", "parameter sead 2, m 'x': known are dataset"),
    ],
)
def test_case_43_a_parameter_that_a_chapter_does_not_have_is_refused_with_those_it_has(injected, says):
    with pytest.raises(ValueError, match=says):
        chapters.check_parameters(["", CELL, f"# Parameters\n{injected}\n", "open_chapter(...)"])


@pytest.mark.parametrize(
    "history",
    [
        [],
        ["", CELL, "N = 10", "open_chapter(...)"],
        ["", CELL, "# Parameters\nseed = 1\nn = 10\n", "open_chapter(...)"],
        ["", "%%time\n1 +", "# Parameters\nN = 10\n"],  # no chapter's cell of parameters
        ["", CELL, "# Parameters\nN = \n"],
    ],
)
def test_case_43_nothing_else_is_refused(history):
    chapters.check_parameters(history)
    assert open_chapter(**GOOD, data_root=None, results_dir=None).seed == 0


@pytest.fixture
def fake(monkeypatch):
    """Records by data set, and a live run that counts its calls."""
    calls = []

    def largest(name, dataset, results_dir, partial=False):
        return f"{dataset} record" if (results_dir, dataset) in calls[0] else None

    def run(*arguments, **options):
        calls.append(options["results_dir"])
        return "live"

    monkeypatch.setattr(chapters, "largest", largest)
    monkeypatch.setattr(chapters, "run", run)
    return calls


def test_records_of_the_book_are_drawn_with_the_chapters_own(fake):
    fake.append({(None, "cifar10"), (None, "fashion_mnist_mini")})
    assert list(chapter().recorded("gibbs_ratio")) == ["cifar10", "fashion_mnist_mini"]
    assert len(fake) == 1  # nothing was run


def test_without_records_the_live_run_is_drawn_once(fake):
    fake.append(set())
    opened = chapter("elsewhere")
    assert opened.recorded("gibbs_ratio") == {"fashion_mnist_mini": "live"}
    assert opened.run("gibbs_ratio") == "live"
    assert fake[1:] == [None]  # in memory, and not again


def test_larger_profiles_are_recorded(fake):
    fake.append(set())
    chapter("elsewhere", profile="laptop").run("gibbs_ratio")
    assert fake[1:] == [Path("elsewhere")]


def a_data_set(train, test):
    """Two classes in turn, each image filled with its position."""
    images = {f"{split}_images": torch.arange(n).float()[:, None, None, None] for split, n in (train, test)}
    labels = {f"{split}_labels": torch.arange(n) % 2 for split, n in (train, test)}
    one = torch.ones(1)
    return data.Dataset(
        "toy", **images, **labels, classes=("a", "b"), sha256="0", normalised=False, mean=one, std=one
    )


def test_live_runs_take_the_beginning_of_a_large_data_set(monkeypatch):
    whole = a_data_set(("train", 3000), ("test", 300))
    part = beginning(whole)
    assert part.train_images.flatten().tolist() == list(range(2000))  # 1,000 of each of two classes
    assert torch.equal(part.train_labels, whole.train_labels[:2000])
    assert torch.equal(part.test_images, whole.test_images)
    assert part.sha256 == "0 beginning"
    small = a_data_set(("train", 2000), ("test", 400))
    assert beginning(small) is small

    given = []
    monkeypatch.setattr(data, "load", lambda name, root: whole)
    monkeypatch.setattr(chapters, "run", lambda experiment, dataset, *_, **__: given.append(dataset))
    chapter().run("condensation")
    chapter("elsewhere", profile="laptop").run("condensation")
    assert [len(dataset.train_labels) for dataset in given] == [2000, 3000]


def test_a_live_run_of_some_tasks_has_their_rows():
    wanted = lambda task: task.mechanism == "random_subset"  # noqa: E731
    opened = chapter()
    experiment, small = experiments.get("private_release"), beginning(opened.data)
    found = opened.live("private_release", wanted)
    assert tuple(found.columns) == experiment.column_names
    design = experiment.profiles["smoke"]
    (task,) = [task for task in experiment.tasks(design, small) if wanted(task)]
    rows = experiment.run(task, design, small, 0, torch.device("cpu"))
    assert found.test_accuracy.tolist() == [row["test_accuracy"] for row in rows]


def test_of_a_larger_profile_all_tasks_are_run(monkeypatch):
    monkeypatch.setattr(chapters, "run", lambda *_, **options: SimpleNamespace(table=options["results_dir"]))
    assert chapter("there", profile="laptop").live("private_release", None) == Path("there")


SMALL = {"pools": [4], "features": [2], "sizes": [[12, 2]], "normals": 20_000, "chains": 50}


def varied(results_dir=None, profile="smoke", changes=SMALL):
    return open_chapter(
        **GOOD | {"profile": profile},
        data_root=None,
        results_dir=results_dir,
        settings=changes,
        experiment="linear_dm",
    )


def test_settings_change_the_chapters_experiment_and_it_is_all_that_is_drawn():
    opened = varied()
    ((name, record),) = opened.recorded("linear_dm").items()
    assert name == "fashion_mnist_mini"
    assert record.path is None
    design = settings.change(experiments.get("linear_dm").profiles["smoke"], SMALL)
    assert record.meta["parameters"] == settings.as_json(design)
    assert opened.run("linear_dm") is record
    assert opened.live("linear_dm", lambda task: True).check.tolist() == record.table.check.tolist()


def test_settings_of_a_larger_profile_make_a_record_of_their_own(tmp_path):
    (record,) = varied(tmp_path, "laptop").recorded("linear_dm").values()
    assert record.path.name == f"fashion_mnist_mini-laptop_{settings.name_of(SMALL)}.csv"
    assert not chapters.largest("linear_dm", "fashion_mnist_mini", tmp_path)


def test_settings_leave_other_experiments_as_they_are(fake):
    fake.append({(None, "cifar10")})
    assert list(varied().recorded("gibbs_ratio")) == ["cifar10"]
    fake.clear()
    fake.append({(None, "cifar10")})
    changed = varied(changes=SMALL | {"chains": 51})
    assert changed.recorded("linear_dm") == {"fashion_mnist_mini": "live"}


@pytest.mark.parametrize("nothing", [None, {}])
def test_no_settings_change_nothing(fake, nothing):
    fake.append({(None, "cifar10")})
    assert list(varied(changes=nothing).recorded("linear_dm")) == ["cifar10"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"chain": 3}, "chain 3: allowed are the names below\nWhat can be set:\n .*chains = 400"),
        ({"chains": "many"}, "chains 'many': allowed are whole numbers\nWhat can be set:"),
        ([3], r"settings \[3\]: allowed is a mapping of names to values"),
    ],
)
def test_settings_that_there_are_not_are_refused_with_the_list(changes, says):
    with pytest.raises(ValueError, match=f"(?s){says}"):
        varied(changes=changes)


def test_a_chapter_without_an_experiment_has_no_settings():
    with pytest.raises(ValueError, match="allowed are none, for this chapter runs no experiment"):
        open_chapter(**GOOD, data_root=None, results_dir=None, settings={"chains": 3})


@pytest.mark.parametrize(
    ("margins", "verdict"),
    [
        (0.1, "holds"),
        (0.0, "fails"),
        ([1.0, 2.0], "holds"),
        ([1.0, -2.0], "fails"),
        ([1.0, float("nan")], "holds"),
        ([float("nan")], "open"),
        ([], "open"),
        ([True, True], "holds"),
        ([True, False], "fails"),
        (pd.Series([0.5, 0.1]), "holds"),
        (Interval(1.0, 0.5, 1.5), "holds"),
        (Interval(1.0, -0.5, 2.5), "open"),
        (Interval(-1.0, -1.5, 0.0), "fails"),
        ([Interval(1.0, 0.5, 1.5), Interval(1.0, -0.5, 2.5)], "open"),
        ([Interval(-1.0, -1.5, -0.5), Interval(1.0, -0.5, 2.5)], "fails"),
        ([Interval(float("nan"), float("nan"), float("nan"))], "open"),
    ],
)
def test_verdicts_are_what_the_numbers_say(monkeypatch, margins, verdict):
    glued = {}
    monkeypatch.setattr(type(chapter()), "glue", lambda self, **values: glued.update(values))
    chapter().verdicts(v_one=margins)
    assert glued == {"v_one": verdict}
