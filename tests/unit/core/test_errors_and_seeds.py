"""Messages name file, row, field and value; seeds are one per purpose."""

import pickle

import pytest

from rag_lightning.core.errors import ArtifactError, AssetError, ConfigError, DataError, RagLightningError
from rag_lightning.core.seeds import derive_seed, generator


def test_a_data_error_names_file_row_field_and_value() -> None:
    error = DataError("q.csv", "is empty", row=3, field="question", value="", hint="remove the row")
    assert str(error) == "q.csv, row 3, field 'question': is empty (got ''); remove the row"


def test_a_data_error_of_a_whole_file_is_short() -> None:
    assert str(DataError("q.csv", "does not exist")) == "q.csv: does not exist"


def test_a_data_error_of_another_process_is_the_same() -> None:
    error = DataError("a.xml", "is cut", row=3, field="title", value={"x": 1}, hint="fetch it again")
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error) and (again.path, again.row, again.hint) == (error.path, 3, "fetch it again")


def test_a_long_value_is_cut() -> None:
    assert len(str(DataError("q.csv", "is bad", value="x" * 10_000))) < 200


@pytest.mark.parametrize("error", [ConfigError, ArtifactError, AssetError, DataError])
def test_all_are_reported_in_one_line(error: type[Exception]) -> None:
    assert issubclass(error, RagLightningError)


def test_seeds_differ_by_purpose_and_by_seed_and_stay() -> None:
    seeds = {derive_seed(seed, purpose) for seed in range(3) for purpose in ("split", "batches", "dropout")}
    assert len(seeds) == 9
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derive_seed(0, "split") == derive_seed(0, "split")


def test_a_generator_repeats_itself() -> None:
    assert generator(1, "split").integers(0, 100, 5).tolist() == generator(1, "split").integers(0, 100, 5).tolist()
