"""What is left of the book's records, and for how long."""

from privacy_for_free import data, experiments
from privacy_for_free.experiments import plan
from privacy_for_free.lab import records


def run(name, dataset, finished, seconds, tasks=4):
    return plan.Run(name, dataset, records.State(tasks, finished, seconds, complete=finished == tasks))


def test_every_experiment_has_its_data_sets():
    assert set(plan.DATASETS) == set(experiments.NAMES)
    assert {name for names in plan.DATASETS.values() for name in names} <= set(data.NAMES)
    assert plan.pairs(("mnist",)) == [(name, "mnist") for name in experiments.NAMES]


def test_time_left_is_estimated_from_what_was_timed_and_says_what_was_not():
    runs = [run("a", "x", 4, 400), run("a", "y", 0, 0), run("b", "x", 1, 60), run("c", "x", 0, 0)]
    assert plan.time_left(runs) == "3 of 4 records left, about 10 min for 2 of them, 1 not timed yet"
    assert plan.time_left(runs[3:]) == "1 of 1 records left, 1 not timed yet"
    assert plan.time_left(runs[:1]) == "all 1 records are complete"
    assert plan.time_left(runs[3:], 1) == "1 of 2 records left, 1 not timed yet, 1 failed"
    assert plan.time_left(runs[:1], 1) == "1 of 2 records complete, 1 failed"


def test_what_does_not_apply_is_said_with_the_reason(tmp_path, monkeypatch):
    monkeypatch.setattr(experiments, "NAMES", ("gibbs_ratio", "nonlinear_shift"))
    runs, refused = plan.survey("laptop", datasets=["fashion_mnist_mini"], results_dir=tmp_path)
    assert [(one.experiment, one.state.finished, one.state.complete) for one in runs] == [
        ("gibbs_ratio", 0, False)
    ]
    assert refused[0].startswith("nonlinear_shift on fashion_mnist_mini does not apply: ")
    assert not any(tmp_path.iterdir())


def test_a_class_too_small_for_the_pool_is_found_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setattr(experiments, "NAMES", ("linear_dm", *plan.POOLED))
    runs, refused = plan.survey("paper", datasets=["fashion_mnist_mini"], results_dir=tmp_path)
    assert [one.experiment for one in runs] == ["linear_dm"]
    says = "pool of 50000 images: 5000 of class 0 asked for, there are 1000"
    assert refused == [f"{name} on fashion_mnist_mini does not apply: {says}" for name in plan.POOLED]
