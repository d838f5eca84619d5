"""A record says where it comes from, and whether today's source would make it."""

import json

import pytest

from privacy_for_free.experiments import every, get
from privacy_for_free.lab.record import check_profile
from privacy_for_free.lab.store import read


def test_footer_says_what_was_run_when_and_where(make, tmp_path):
    record = make(tmp_path)
    line = record.provenance()
    assert line.startswith("toy on toy_data, profile laptop, seed 0: 12 rows, ")
    assert f" s on {record.meta['machine']}, {record.meta['started'][:10]}." in line
    assert record.current
    assert "source has changed" not in line


def test_a_stale_record_names_what_has_changed(toy, make, tmp_path):
    record = make(tmp_path)
    toy.DEFINITIONS["toy:run"] = "f" * 16
    assert record.changed == ["toy:run"]
    assert not record.current
    assert record.provenance().endswith(" The source has changed since (toy:run): attest it or run it again.")


def test_the_footer_says_since_when_a_record_is_attested(make, tmp_path):
    sidecar = make(tmp_path).path.with_suffix(".json")
    meta = json.loads(sidecar.read_text())
    entry = {"commit": "c", "source_sha256": "d"}
    entries = [entry | {"date": f"202{year}-01-02T03:04:05+00:00"} for year in (7, 8)]
    sidecar.write_text(json.dumps(meta | {"attested": entries}))
    assert read("toy", "toy_data", "laptop", tmp_path).provenance().endswith(". Attested 2028-01-02.")


def test_of_many_changes_the_footer_names_three(toy, make, tmp_path):
    toy.DEFINITIONS.update({f"toy:f{number}": "2" * 16 for number in range(5)})
    record = make(tmp_path)
    for number in range(5):
        del toy.DEFINITIONS[f"toy:f{number}"]
    assert "(toy:f0, toy:f1, toy:f2 and 2 more)" in record.provenance()


def test_a_definition_more_is_no_change(toy, make, tmp_path):
    record = make(tmp_path)
    toy.DEFINITIONS["toy:new"] = "2" * 16
    assert record.current


def test_a_sidecar_without_definitions_says_so(make, tmp_path):
    sidecar = make(tmp_path).path.with_suffix(".json")
    meta = json.loads(sidecar.read_text())
    del meta["definitions"]
    sidecar.write_text(json.dumps(meta))
    record = read("toy", "toy_data", "laptop", tmp_path)
    assert not record.current
    assert "changed since (a version that stated no definitions): attest it" in record.provenance()


def test_a_record_of_an_experiment_that_is_gone_says_so(make, tmp_path):
    make(tmp_path).path.parent.rename(tmp_path / "gone")
    sidecar = tmp_path / "gone" / "toy_data-laptop.json"
    sidecar.write_text(json.dumps(json.loads(sidecar.read_text()) | {"experiment": "gone"}))
    assert read("gone", "toy_data", "laptop", tmp_path).changed == ["no experiment gone"]


def test_profiles_are_checked():
    assert check_profile("paper") == "paper"
    with pytest.raises(ValueError, match="profile 'huge': known are smoke, laptop, paper"):
        check_profile("huge")


@pytest.fixture(scope="module")
def committed(root):
    """The records of the repository by their files."""
    records = {}
    for table in sorted((root / "data" / "results").glob("*/*.csv")):
        dataset, profile = table.stem.rsplit("-", 1)
        goes_on = get(table.parent.name).partial
        records[table] = read(table.parent.name, dataset, profile, partial=goes_on)
    return records


def test_committed_records_are_intact(committed):
    for table, record in committed.items():
        assert record is not None, f"{table} is not complete"
        peak = record.meta["peak_memory_bytes"]
        assert peak > 0, f"{table} does not state its memory"
        laptop = record.meta["profile"] == "laptop"
        assert not laptop or peak < 6e9, f"{table}: {peak / 1e9:.2f} GB, a laptop is to do with 6"
        assert record.meta["machine"], f"{table} does not state its machine"
    assert {experiment.name for experiment in every()} == {table.parent.name for table in committed}


def test_committed_records_are_current(committed):
    stale = [f"{table}: {', '.join(record.changed)}" for table, record in committed.items() if record.changed]
    assert not stale, "attest these records, or make them anew"
