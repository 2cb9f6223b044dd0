"""Configurations are plain values with a stable digest."""

from dataclasses import FrozenInstanceError, fields, is_dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_lightning.config.commands import SweepConfig
from rag_lightning.config.digesting import settings
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.fields import sentences, to_dict
from rag_lightning.config.generator import GeneratorConfig
from rag_lightning.config.training import TrainConfig
from rag_lightning.core.files import digest

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.dictionaries(st.text(), inner), max_leaves=8
)


def test_a_configuration_becomes_plain_json_values() -> None:
    plain = to_dict(SweepConfig())
    assert plain["space"]["k"] == [1, 2, 5, 10]
    assert plain["experiment"]["train"]["trainer"] == {}


def test_what_is_no_configuration_is_refused() -> None:
    with pytest.raises(TypeError, match="dataclass instances"):
        to_dict({"k": 1})
    with pytest.raises(TypeError, match="dataclass instances"):
        to_dict(SweepConfig)


def test_a_configuration_cannot_be_changed_in_place() -> None:
    with pytest.raises(FrozenInstanceError):
        ExperimentConfig().seed = 1  # type: ignore[misc]


def test_the_digest_is_that_of_other_machines_and_days() -> None:
    assert digest({"kind": "flat", "é": [1, 2.5, None]}) == "7d8b6e725d01a876"


@given(st.dictionaries(st.text(), JSON, min_size=2))
def test_the_order_of_keys_does_not_change_the_digest(value: dict[str, object]) -> None:
    assert digest(dict(reversed(value.items()))) == digest(value)


def test_any_field_changes_the_digest() -> None:
    start = TrainConfig()
    other = replace(start, clip=0.5)
    assert digest(to_dict(start)) != digest(to_dict(other))


@pytest.mark.parametrize("config", [ExperimentConfig, SweepConfig])
def test_every_field_has_its_sentence(config: type) -> None:
    """The sentences are what `--help` prints."""
    classes = [config, *(type(field.default) for field in fields(config) if is_dataclass(field.default))]
    for cls in classes:
        missing = [field.name for field in fields(cls) if not sentences(cls).get(field.name)]
        assert not missing, f"{cls.__name__}: {missing}"


def test_what_has_no_effect_is_no_part_of_a_digest() -> None:
    """decoder_layers belongs to a warm-started generator alone."""
    given = ExperimentConfig(generator=GeneratorConfig(init="elsewhere", decoder_layers=7))
    plain = ExperimentConfig(generator=GeneratorConfig(init="elsewhere"))
    assert settings(given, "model") == settings(plain, "model")
