"""A made-up world for the builders: leads that tell something, countries with numbers, lists and names."""

import json
from pathlib import Path
from typing import Any

from rag_lightning.mini.relations import relations

COUNTRIES, LEADS = 100, 180
_KINDS = ("river", "composer", "bridge", "temple", "glacier", "painter")


def sources(tmp_path: Path) -> tuple[Path, Path]:
    """The wiki file and the factbook folder."""
    leads = {f"Thing{n}": _lead(n) for n in range(LEADS)}
    (tmp_path / "wiki.json").write_text(json.dumps(leads))
    folder = tmp_path / "factbook" / "x"
    folder.mkdir(parents=True)
    for n in range(COUNTRIES):
        (folder / f"l{n:03d}.json").write_text(json.dumps(_country(n)))
    return tmp_path / "wiki.json", tmp_path / "factbook"


def _lead(n: int) -> dict[str, str]:
    kind = _KINDS[n % len(_KINDS)]
    text = (
        f"Thing{n} is a mild {kind} near place{n} that glows{n} under lamps{n} at night. "
        f"It was measured by Surveyor{n} near Townhall{n} in {1500 + n}. "
        f"It carries {1000 + n} tonnes of sand{n} past Castle{n}."
    )
    return {"title": f"Thing{n}", "extract": text, "topic": ("Geography", "Arts", "History")[n % 3]}


def _country(n: int) -> dict[str, Any]:
    raw: dict[str, Any] = {}
    measured = [relation for relation in relations().values() if relation.phrases]
    for number, quantity in enumerate(measured):
        # A third of the fields is missing, another third in every country, so that much is told and much is not.
        if (n + number) % 3:
            _put(raw, quantity.path, f"{(n * 37 + number * 11) % 900 + 1}.{n % 9 + 1}% (2023 est.)")
    _put(raw, ("Government", "Country name", "conventional short form"), f"Land{n}")
    _put(raw, ("Government", "Capital", "name"), f"Town{n}")
    _put(raw, ("Communications", "Internet country code"), f".{chr(97 + n % 26)}{chr(97 + n // 26)}")
    _put(raw, ("Government", "Independence"), f"{n % 28 + 1} May {1700 + n} (from France)")
    _put(raw, ("Geography", "Natural resources"), f"metal{n}, ore{n}, clay{n}")
    _put(raw, ("Economy", "Exports - commodities"), f"cloth{n}, tea{n}, salt{n} (2023)")
    _put(raw, ("Economy", "Industries"), f"weaving{n}, milling{n}")
    for filler in range(60):
        _put(raw, ("Introduction", f"Note {filler}"), f"word{filler}")
    return raw


def _put(raw: dict[str, Any], path: tuple[str, ...], text: str) -> None:
    for part in path:
        raw = raw.setdefault(part, {})
    raw["text"] = text
