"""Names are looked up lazily; a typo is answered with the nearest."""

import sys

import pytest

from rag_lightning.core.errors import ConfigError, UnknownNameError
from rag_lightning.core.registry import Registry, check_name

KINDS = Registry("index kind", {"flat": "collections:OrderedDict", "hnsw": "this_does_not_exist:Thing"})


def test_a_name_is_imported_when_it_is_asked_for() -> None:
    from collections import OrderedDict

    registry = Registry("joke", {"it": "antigravity_of_nobody:fly", "ordered": "collections:OrderedDict"})
    assert registry.get("ordered") is OrderedDict
    assert "antigravity_of_nobody" not in sys.modules


def test_names_can_be_listed_without_importing() -> None:
    assert list(KINDS) == ["flat", "hnsw"]
    assert "hnsw" in KINDS and "pq" not in KINDS


def test_a_typo_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown index kind 'hnws': did you mean 'hnsw'\? known: flat, hnsw"):
        KINDS.get("hnws")


def test_a_name_like_no_other_is_answered_with_all() -> None:
    with pytest.raises(UnknownNameError, match=r"^unknown task 'xyzzy': known: nq, fever$"):
        check_name("task", "xyzzy", ("nq", "fever"))


def test_an_unknown_name_is_a_configuration_error() -> None:
    assert issubclass(UnknownNameError, ConfigError)


def test_a_known_name_passes() -> None:
    check_name("task", "nq", {"nq": 1})


def test_a_kind_of_ones_own_is_registered_and_a_name_is_given_once() -> None:
    registry = Registry("index kind", {"flat": "collections:OrderedDict"})
    registry.register("mine", "collections:Counter")
    assert list(registry) == ["flat", "mine"]
    for name, holder in (("flat", "collections:OrderedDict"), ("mine", "collections:Counter")):
        with pytest.raises(ConfigError, match=f"^index kind '{name}' is already {holder}; give my.module:Kind another"):
            registry.register(name, "my.module:Kind")
    assert registry.get("mine").__name__ == "Counter"
