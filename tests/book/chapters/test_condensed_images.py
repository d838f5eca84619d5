"""The chapter's figures, numbers and verdicts on a table whose answers are known, and on the records."""

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

from privacy_for_free import data
from privacy_for_free.attacks.evaluation import FPRS
from privacy_for_free.book.chapters import condensed_images as chapter
from privacy_for_free.book.chapters import condensed_images_numbers as prose
from privacy_for_free.book.chapters import tracing
from privacy_for_free.book.claims import effects
from privacy_for_free.experiments.plan import RECORDED
from privacy_for_free.lab.store import largest

BASE = {
    "cell": "", "c": 0, "n": 100, "ipc": 10, "init": "noise", "bank": np.nan, "iterations": 3000,
    "learning_rate": 3.0, "schedule": "cosine", "batch_real": np.nan, "augmentation": "none", "width": 16,
    "clamp": 0, "release": "as_is", "pixels": "all", "knowledge": "same_law", "extractors": 100,
    "ridge": 0.01, "whiten": 0, "box": 0, "residual": 0.1, "loss": 1.0, "outside": 0.1, "targets": 4,
    "tuned": 2,
}  # fmt: skip
CHANGES = [  # AUC of the equations, of mean features, and what is changed
    (0.90, 0.60, {}),
    (0.92, 0.61, {"extractors": 300}),
    (0.70, 0.58, {"iterations": 150}),
    (0.62, 0.52, {"n": 250}),
    (0.80, 0.60, {"ipc": 1}),
    (0.89, 0.60, {"release": "rounded"}),
    (0.51, 0.55, {"release": "clipped", "pixels": "inside"}),
    (0.99, 0.57, {"bank": 20.0, "n": 500, "knowledge": "bank", "extractors": 20}),
    (0.52, 0.52, {"bank": 20.0, "n": 500}),
]


def attacks():
    """Rows as `optimality` records them, intervals 0.05 to either side."""
    rows = []
    for equations, features, changed in CHANGES:
        for attack, auc in (("optimality", equations), ("linear_tracing", features)):
            rows.append(BASE | changed | {"attack": attack, "auc": auc})
    table = pd.DataFrame(rows).assign(tpr=0.5, tpr_zero=0.4, roc=" ".join(f"{fpr:g}" for fpr in FPRS))
    return table.assign(auc_low=table.auc - 0.05, auc_high=table.auc + 0.05)


@pytest.fixture(scope="module")
def view(membership_view):
    record = SimpleNamespace(table=attacks(), provenance=lambda: "made by hand")
    networks = SimpleNamespace(table=membership_view.table.assign(task=0))
    return chapter.load({"fashion_mnist": record}, {"fashion_mnist": networks})


def test_the_base_is_the_published_loop_with_the_usual_number_of_extractors(view):
    base = view.base("fashion_mnist")
    assert (base.auc, base.extractors, base.n) == (0.90, 100, 100)
    assert view.base("fashion_mnist", "linear_tracing").auc == 0.60
    assert view.base("cifar10") is None
    bank = view.bank("fashion_mnist")
    assert (bank.auc, bank.n) == (0.99, 500)


def test_every_row_says_what_it_changes(view):
    table = chapter.cells(view, "fashion_mnist")
    assert table.what.tolist() == [
        "published loop", "300 extractors", "150 steps", "250 members", "1 image per class",
        "rounded afterwards", "clipped afterwards, equations inside the range only",
        "bank of 20, 500 members, bank known", "bank of 20, 500 members",
    ]  # fmt: skip
    assert [row.auc for row in table.optimality] == [equations for equations, _, _ in CHANGES]


def test_numbers_come_from_the_rows_that_they_name(view):
    numbers = prose.numbers(view)
    assert numbers["base.auc"] == "0.90 on FashionMNIST"
    assert numbers["natural.auc"] == "0.60"
    assert numbers["base.named"] == "40 % on FashionMNIST"
    assert numbers["bank.auc"] == "0.99 on FashionMNIST with 500 members"
    assert numbers["bank.others"] == "0.52"
    assert (numbers["steps.fewest"], numbers["steps.fewest.auc"]) == (150, "0.70")
    assert (numbers["extractors.most"], numbers["extractors.most.auc"]) == (300, "0.92")
    assert (numbers["rounded.auc"], numbers["clipped.auc"]) == ("0.89", prose.MISSING)
    assert numbers["clipped.inside.auc"] == "0.51"
    assert numbers["mlp.auc"] == prose.MISSING
    assert (numbers["extractors"], numbers["extractors.fewest.auc"]) == (100, "0.90")


def test_verdicts_fail_where_the_interval_is_above_guessing(view):
    margins = prose.verdicts(view)
    signs = {key: [np.sign(one.high) for one in found] for key, found in margins.items()}
    assert signs == {
        "verdict.few": [-1], "verdict.bank": [-1], "verdict.seed": [1],
        "verdict.rounding": [-1], "verdict.clipping": [1], "verdict.early": [-1],
    }  # fmt: skip
    assert all(one.low < 0 for found in margins.values() for one in found)  # none holds


def test_the_claim_takes_the_published_loop_at_the_size_it_names():
    table = attacks()
    assert effects.auc_of_images(table)[:3] == pytest.approx((0.92, 0.87, 0.97))
    assert effects.auc_of_images(table[table["bank"].notna()]) is None
    assert effects.auc_of_images(table[table.n == 250]) is None


def test_figures_show_what_is_in_the_table(view):
    axis = chapter.figure_cells(view).axes[0]
    np.testing.assert_allclose(axis.lines[0].get_xdata(), [equations for equations, _, _ in CHANGES])
    whole = chapter.figure_whole(view).axes[0]
    labels = whole.get_legend_handles_labels()[1]
    assert labels[:3] == ["images, bank known", "images, architecture known", "images, mean features"]
    np.testing.assert_allclose(whole.lines[1].get_xdata().min(), 0.01)  # one false alarm of 100
    named = chapter.table_cells(view)
    assert named.loc[("FashionMNIST", "published loop"), "AUC"] == "0.900 [0.850,\xa00.950]"
    plt.close("all")


def test_a_live_release_of_a_known_bank_names_its_members():
    shown = chapter.demonstrate(data.load("fashion_mnist_mini"), seed=3, n=8, ipc=4, steps=60)
    assert shown.candidates.shape == (16, 1, 28, 28)
    assert int(shown.members.sum()) == 8
    assert shown.aucs[0] > 0.9
    again = chapter.demonstrate(data.load("fashion_mnist_mini"), seed=3, n=8, ipc=4, steps=60)
    assert torch.equal(shown.scores, again.scores)
    texts = [text.get_text() for axis in chapter.figure_named(shown, most=5).axes for text in axis.texts]
    assert len(texts) == 10
    assert set(texts) <= {"✓", "✗"}
    plt.close("all")


@pytest.fixture(scope="module")
def recorded():
    found = {name: largest("optimality", name, partial=True) for name in RECORDED}
    networks = {name: largest("membership", name) for name in RECORDED}
    return chapter.load(
        {name: record for name, record in found.items() if record},
        {name: record for name, record in networks.items() if record},
    )


def test_keys_are_those_of_the_prose(recorded, glue_keys):
    records = {name: largest("tracing", name) for name in RECORDED}
    gibbs = {name: record for name in RECORDED if (record := largest("gibbs_ratio", name))}
    means = tracing.load(records, gibbs)
    keys = prose.through_means(means) | prose.numbers(recorded) | prose.verdicts(recorded)
    assert set(keys) == glue_keys("condensed_images")
