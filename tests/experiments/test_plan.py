"""What is left of the book's records, and for how long."""

import pytest

from privacy_for_free import data, experiments
from privacy_for_free.experiments import plan
from privacy_for_free.lab.experiment import PROFILES
from privacy_for_free.lab.run import Progress, run


def planned(name, dataset, finished, seconds, tasks=4):
    return plan.Run(name, dataset, Progress(tasks, finished, seconds, complete=finished == tasks))


@pytest.mark.parametrize("name", experiments.NAMES)
def test_declarations_are_whole(name, root):
    experiment = experiments.get(name)
    assert experiment.name == name
    assert experiment.module == f"privacy_for_free.experiments.{name}"
    assert set(experiment.datasets) <= set(plan.RECORDED) <= set(data.NAMES)
    assert (root / "chapters" / f"{experiment.chapter}.ipynb").exists()
    assert tuple(experiment.profiles) == PROFILES
    assert all(isinstance(design, experiment.design) for design in experiment.profiles.values())
    assert len(set(experiment.column_names)) == len(experiment.columns) > 0


def test_plan_is_in_the_books_order():
    order = [experiment.name for experiment in experiments.every()]
    assert set(order) == set(experiments.NAMES)
    assert len({experiment.order for experiment in experiments.every()}) == len(order)
    assert plan.pairs(("mnist",)) == [(name, "mnist") for name in order]
    book = plan.pairs()
    assert [name for name, _ in book] == sorted((name for name, _ in book), key=order.index)
    assert book[:2] == [("linear_dm", "fashion_mnist"), ("linear_dm", "cifar10")]


def test_time_left_is_estimated_from_what_was_timed_and_says_what_was_not():
    runs = [
        planned("a", "x", 4, 400), planned("a", "y", 0, 0), planned("b", "x", 1, 60), planned("c", "x", 0, 0)
    ]  # fmt: skip
    assert plan.time_left(runs) == "3 of 4 records left, about 10 min for 2 of them, 1 not timed yet"
    assert plan.time_left(runs[3:]) == "1 of 1 records left, 1 not timed yet"
    assert plan.time_left(runs[:1]) == "all 1 records are complete"
    assert plan.time_left(runs[3:], 1) == "1 of 2 records left, 1 not timed yet, 1 failed"
    assert plan.time_left(runs[:1], 1) == "1 of 2 records complete, 1 failed"


def test_what_does_not_apply_is_said_with_the_reason(tmp_path, monkeypatch):
    monkeypatch.setattr(experiments, "NAMES", ("gibbs_ratio", "nonlinear_shift"))
    runs, refused = plan.survey("laptop", datasets=["fashion_mnist_mini"], results_dir=tmp_path)
    assert [(run.experiment, run.state.finished, run.state.complete) for run in runs] == [
        ("gibbs_ratio", 0, False)
    ]
    assert refused[0].startswith("nonlinear_shift on fashion_mnist_mini does not apply: ")
    assert not any(tmp_path.iterdir())


def test_a_class_too_small_for_the_pool_is_found_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setattr(experiments, "NAMES", ("gibbs_ratio", "membership", "canaries"))
    runs, refused = plan.survey("paper", datasets=["fashion_mnist_mini"], results_dir=tmp_path)
    assert [run.experiment for run in runs] == ["gibbs_ratio"]
    says = "size, a pool of 50000 images: 5000 of class 0 asked for, there are 1000; allowed are up to 10000"
    pooled = ("membership", "canaries")
    assert refused == [f"{name} on fashion_mnist_mini does not apply: {says}" for name in pooled]


def test_a_record_of_changed_settings_is_none_of_the_plan(tmp_path, monkeypatch):
    monkeypatch.setattr(experiments, "NAMES", ("linear_dm",))
    small = {"pools": (4,), "features": (2,), "sizes": ((12, 2),), "normals": 20_000, "chains": 50}
    made = run(
        experiments.get("linear_dm"),
        data.load(),
        changes=small,
        results_dir=tmp_path,
        device="cpu",
        shown=False,
    )
    assert made.path.exists()
    runs, _ = plan.survey("smoke", datasets=["fashion_mnist_mini"], results_dir=tmp_path)
    assert [run.state.finished for run in runs] == [0]
