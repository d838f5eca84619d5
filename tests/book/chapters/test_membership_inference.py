"""The chapter's figures and numbers, of a game whose answers are known by hand."""

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from privacy_for_free.attacks import evaluation
from privacy_for_free.book.chapters import membership_inference as inference
from privacy_for_free.shadows import Answers, Pool
from privacy_for_free.stats.intervals import Interval

MEMBER = torch.tensor([[True, False, True, False], [False, True, False, True]] * 2)


def outcome(auc, tpr):
    """An outcome with this TPR at every FPR up to 1 %, and 1 from there on."""
    curve = tuple(tpr if fpr <= 0.01 else 1.0 for fpr in evaluation.FPRS)
    none = np.zeros(1)
    return evaluation.Outcome(4, 8, 8, auc, (0.5, 0.4, 0.6), Interval(tpr, 0.0, 1.0), (0.0, 1.0), curve, none)


OUTCOMES = {name: outcome(0.7, 0.25) for name in inference.NAMES} | {
    "loss": outcome(0.6, 0.0625),
    "lira_online_fixed": outcome(0.8, 0.5),
}


@pytest.fixture
def game():
    """Two worlds: image 0 is easy, image 3 is known to those that saw it, image 2 to none."""
    confidence = torch.where(MEMBER, 2.0, 1.0).double()
    confidence[:, 0] = 9.0
    confidence[:, 2] = torch.where(MEMBER[:, 2], 0.5, -8.0).double()
    confidence[:, 3] = torch.where(MEMBER[:, 3], 4.0, -3.0).double()
    pool = Pool(torch.zeros(4, 1, 2, 2), torch.tensor([0, 0, 1, 1]), MEMBER, torch.arange(4), 2)
    yield pool, Answers(confidence[..., None], confidence > 0, 1.0)
    plt.close("all")


def test_easy_and_hard_images(game):
    pool, answers = game
    assert inference.easy_and_hard(answers.confidences[..., 0], pool.membership) == (0, 3)


def test_numbers(game):
    pool, answers = game
    numbers = inference.numbers(answers, pool.membership, OUTCOMES)
    assert (numbers["models"], numbers["pool"], numbers["members_needed"]) == (4, 4, 4172)
    assert numbers["accuracy.members"] == 100
    assert numbers["accuracy.others"] == 50  # wrong on images 2 and 3 where they were not seen
    assert (numbers["loss.auc"], numbers["lira.auc"]) == (0.6, 0.8)
    assert (numbers["loss.tpr"], numbers["lira.tpr"]) == (6.25, 50)


def test_verdicts():
    verdicts = inference.verdicts(OUTCOMES)
    assert verdicts["verdict.tells"] == pytest.approx(0.2)
    assert verdicts["verdict.loss"] == pytest.approx(0.0625 - 0.25)


def test_the_prose_uses_every_number(game, glue_keys):
    pool, answers = game
    numbers = inference.numbers(answers, pool.membership, OUTCOMES)
    assert {*numbers, *inference.verdicts(OUTCOMES)} == glue_keys("membership_inference")


def test_tables():
    table = inference.table_attacks(OUTCOMES)
    assert table.index.tolist() == list(inference.NAMES.values())
    assert table.loc["loss threshold"].tolist() == ["0.60", "0.50 [0.40,\u00a00.60]", "6.2%"]
    rates = inference.table_rates()
    assert rates.index.tolist() == ["1 of 1,000", "5 of 5,000", "25 of 25,000"]
    assert rates.loc["1 of 1,000"].item() == "[0.003%, 0.556%]"


def test_figures(game):
    pool, answers = game
    dataset = SimpleNamespace(mean=torch.tensor([0.5]), std=torch.tensor([0.25]))
    figure = inference.figure_two_worlds(pool, answers.confidences[..., 0], dataset)
    titles = [axis.get_title() or axis.get_title(loc="left") for axis in figure.axes]
    assert titles == ["an easy image", "a hard image"]
    saw, did_not = figure.axes[1].containers
    assert sum(bar.get_height() for bar in saw) == sum(bar.get_height() for bar in did_not) == 2
    figure = inference.figure_roc(OUTCOMES)
    (axis,) = figure.axes
    labels = [text.get_text() for text in axis.get_legend().get_texts()]
    assert labels == [*inference.NAMES.values(), "guessing"]
    np.testing.assert_array_equal(axis.lines[0].get_ydata(), OUTCOMES["loss"].curve)
