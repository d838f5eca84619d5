"""The keys of the chapter's prose, and what they stand for."""

from privacy_for_free.book.chapters import linear_proof


def test_the_prose_inserts_what_there_is(glue_keys):
    assert set(linear_proof.numbers()) == glue_keys("linear_proof")


def test_the_two_thresholds_differ_in_few_dimensions_only():
    found = linear_proof.numbers()
    assert found["single_run.ratio.d5_k1"] > 1.2
    assert 0 < found["single_run.ratio_less_one.d784_k8"] < 0.01
