"""A table's text: rows as they were measured, tasks in order, nothing lost on the way."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy_for_free.lab import table_text
from privacy_for_free.lab.record import RecordError

PATH = Path("x.csv")


@settings(deadline=None)
@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=5), st.text(max_size=8))
def test_numbers_and_text_survive(values, text):
    text = "".join(c for c in text if c.isprintable() and ord(c) < 0xD800).strip()
    text = text and "a" + text  # a column of "true", "1" or "inf" is not read as text
    rows = [{"value": value, "note": text or None} for value in values]
    block = table_text.block(rows, ("value", "note"), 0)
    table = table_text.whole(("value", "note"), {0: block})
    assert table_text.blocks(table, ("value", "note"), PATH) == {0: block}
    frame = table_text.frame(table)
    assert [float(value) for value in frame.value] == values
    assert all(note == text for note in frame.note.astype(str)) if text else frame.note.isna().all()


def test_numbers_of_torch_and_numpy_are_plain_numbers():
    row = {"a": torch.tensor(0.5), "b": np.int64(3), "c": np.float64(0.1), "d": True, "e": float("nan")}
    assert table_text.block([row], tuple("abcde"), 7) == "0.5,3,0.1,True,,7\n"


@pytest.mark.parametrize("value", [[1], (1, 2), {"a": 1}, 1j])
def test_other_values_are_refused(value):
    with pytest.raises(RecordError, match=f"value {re.escape(repr(value))}: a record holds text, numbers"):
        table_text.block([{"a": value}], ("a",), 0)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([{"value": 1.0}], r"task 3: columns \['value'\], expected \['note', 'value'\]"),
        ([{"value": 1.0, "note": "", "more": 1}], "task 3: columns"),
        ([], "task 3: returned no rows"),
    ],
)
def test_rows_must_have_the_columns(rows, says):
    with pytest.raises(RecordError, match=says):
        table_text.block(rows, ("value", "note"), 3)


def test_a_sparse_row_may_leave_columns_out_but_have_no_others():
    assert table_text.block([{"value": 1.0}], ("value", "note"), 3, sparse=True) == "1.0,,3\n"
    with pytest.raises(RecordError, match="columns"):
        table_text.block([{"more": 1.0}], ("value", "note"), 3, sparse=True)


def test_tasks_stand_in_their_order():
    blocks = {10: "c,10\n", 2: "b,2\n", 0: "a,0\na,0\n"}
    text = table_text.whole(("value",), blocks)
    assert text == "value,task\na,0\na,0\nb,2\nc,10\n"
    assert table_text.blocks(text, ("value",), PATH) == blocks
    assert table_text.blocks("", ("value",), PATH) == {}


def test_other_columns_are_refused_with_both_lists():
    says = r"x\.csv: columns title, task; expected value, task\. It was left as it is\."
    with pytest.raises(RecordError, match=says):
        table_text.blocks("title,task\na,0\n", ("value",), PATH)


def test_one_task_back_leaves_out_each_task_the_last_first():
    text = "value,task\na,0\na,0\nb,2\nc,10\n"
    assert list(table_text.one_task_back(text)) == [
        text,
        "value,task\na,0\na,0\nb,2\n",
        "value,task\na,0\na,0\nc,10\n",
        "value,task\nb,2\nc,10\n",
    ]
