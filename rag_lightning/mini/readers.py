"""Readers of profile fields that hold one name or date: answers, or None where the field is missing or ambiguous.

A reader is given the text of the field and the profile; `relations.yaml` names it without its `read_`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from rag_lightning.mini.offices import Answer, named, office_holder
from rag_lightning.mini.sources import Profile
from rag_lightning.mini.text import COUNTRY_FORMS, MONTHS, as_typed, fold, is_nothing, strip_parentheses, variants

Reader = Callable[[str, Profile], Answer | None]

_PLURALS = (
    "kroner krone, kronor krona, kronur krona, koruny koruna, leva lev, lei leu, leke lek, maloti loti, "
    "emalangeni lilangeni, meticais metical, colones colon, quetzales quetzal, zlotych zloty, leones leone"
)
_SINGULAR = dict(pair.split() for pair in _PLURALS.split(", "))
_CFA = "Communaute Financiere Africaine "
_METRES = re.compile(r"^(?P<name>.+?),? (?:about )?-?[\d,.]+(?: ?m\b.*)?$")
_DATE = re.compile(rf"\b(?P<day>\d{{1,2}}) (?P<month>{MONTHS})(?: \(?(?P<year>\d{{3,4}})\)?)?")


def read_plain(value: str, profile: Profile) -> Answer | None:
    """A field that holds one name."""
    single = value and not re.search(r";|,| and |\bor\b|/|\bnote\b", strip_parentheses(value))
    return (variants(strip_parentheses(value), value), {}) if single and not is_nothing(value) else None


def read_capital(value: str, profile: Profile) -> Answer | None:
    """The one capital; none where several cities share the role."""
    name = strip_parentheses(value.split(";")[0])
    several = re.search(r"capital|seat|, (?!D\.C)|\bofficial\b|administered|\bin\b", value.split("; note")[0])
    if not name or several or "note" in value or ";" in value:
        return None
    inside = re.findall(r"\(([^()]*)\)", value)
    others = [
        part for text in inside if not re.search(r"\b(?:on|located|aka|is)\b", text) for part in re.split(r"[,/]", text)
    ]
    return variants(name, *[part.strip() for part in others if part.strip() != "city"]), {}


def read_currency(value: str, profile: Profile) -> Answer | None:
    """Plural and singular, with the code."""
    match = re.match(r"^(?P<name>.+?)(?: \((?P<code>[A-Z/]{2,7})\))? per US dollar", value)
    if not match or " or " in value or profile.dependent:
        return None
    name = match["name"]
    forms = [name, *name.split("/")] if "/" in name else [name]
    forms += [name.replace(_CFA, "CFA ")] if name.startswith(_CFA) else []
    forms += [_singular(form) for form in list(forms)]
    forms += [form.split()[-1] for form in list(forms) if " " in form and not form.endswith(("dollars", "dollar"))]
    return (*variants(name, *forms), *((match["code"],) if match["code"] else ())), {}


def _singular(name: str) -> str:
    head, _, last = name.rpartition(" ")
    single = _SINGULAR.get(last, last[:-1] if last.endswith("s") and not last.endswith("ss") else last)
    return f"{head} {single}".strip()


def read_head_of_state(value: str, profile: Profile) -> Answer | None:
    """The one head of state, by the title that the field gives; None for a territory."""
    match = office_holder(value)
    return named(match) if match and not profile.dependent else None


def read_head_of_government(value: str, profile: Profile) -> Answer | None:
    """The one head of government, by the title that the field gives, where it is not the head of state."""
    match = office_holder(value)
    of_state = profile.get("Government", "Executive branch", "chief of state")
    return named(match) if match and match["name"].strip() not in of_state else None


def read_point(value: str, profile: Profile) -> Answer | None:
    """The named highest or lowest point."""
    value = value.split(";")[0]
    flat = strip_parentheses(value)
    match = _METRES.match(flat)
    if not match or re.search(r"unnamed|\bkm\b|\bm\b|location|golf|highest|secondary| and ", match["name"]):
        return None
    name = match["name"].strip(" ,")
    more = [re.sub(r" (?:on|in|of|at) .*$", "", name)] if re.search(r" (?:on|in|at) ", name) else []
    more += name.split("/") if "/" in name else []
    inside = [text for text in re.findall(r"\(([^()]*)\)", value) if re.match(r"^[A-Z]", text)]
    stem = re.sub(r"^(?:Mount|Mont|Mt|Monte|Pico|Cerro|Volcan|Pic|Gunung) | (?:Mountain|Peak|Hill|River)$", "", name)
    return variants(name, *more, *inside, *([stem] if stem[:1].isupper() else [])), {}


def read_anthem(value: str, profile: Profile) -> Answer | None:
    """Title and its translation."""
    titles = re.findall(r"[\"“]([^\"“”]+)[\"”]", value)
    if len(titles) != 1 or ";" in value or "note" in value:
        return None
    inside = re.findall(r"\(([^()]*)\)", value)
    return variants(titles[0], *[text.strip('"“” ') for text in inside]), {}


def read_anthem_author(value: str, profile: Profile) -> Answer | None:
    """The writer of the words."""
    return _anthem_maker(value, profile, 0)


def read_anthem_composer(value: str, profile: Profile) -> Answer | None:
    """The writer of the music."""
    return _anthem_maker(value, profile, 1)


def _anthem_maker(value: str, profile: Profile, which: int) -> Answer | None:
    both = [part.strip() for part in value.split("/")]
    name = both[which] if len(both) == 2 else ""
    bad = re.search(r"unknown|unkown|traditional|collective|multiple|official|lyrics|[,;(\[]| and | or ", name)
    if not name or bad or both[0] == both[1] or "disputed" in value or profile.dependent:
        return None
    return variants(name), {}


def read_demonym(value: str, profile: Profile) -> Answer | None:
    """Singular and plural."""
    match = re.match(r"^(?P<name>[^(),;]+?)(?:\(s\)| \(singular and plural\)|$)(?P<rest>.*)$", value)
    if not match or re.search(r",|;| and ", match["rest"]):
        return None
    name = match["name"].strip()
    halves = name.split("/")[1:]
    return (*variants(name, *halves), f"{name}s", *(f"{half}s" for half in halves)), {}


def read_symbol(value: str, profile: Profile) -> Answer | None:
    """The only national symbol."""
    name = strip_parentheses(value)
    if not name or re.search(r"[,;]| and ", name) or len(name.split()) > 5:
        return None
    inside = re.findall(r"\(([^()]*)\)", value)
    return variants(name, *[text for text in inside if text not in ("bird", "flower")]), {}


def read_holiday(value: str, profile: Profile) -> Answer | None:
    """Name of the only national holiday."""
    flat = strip_parentheses(value)
    match = re.match(rf"^(?P<name>[^,;]+), \d{{1,2}} (?:{MONTHS})$", flat)
    return (variants(match["name"]), {}) if match and "birthday" not in flat.lower() else None


def read_holiday_date(value: str, profile: Profile) -> Answer | None:
    """Day and month, in both orders."""
    dates = list(_DATE.finditer(strip_parentheses(value)))
    if len(dates) != 1 or ";" in strip_parentheses(value):
        return None
    day, month = dates[0]["day"], dates[0]["month"]
    return (f"{day} {month}", f"{month} {day}"), {}


def read_chamber(value: str, profile: Profile) -> Answer | None:
    """Name of a legislature or chamber."""
    name = strip_parentheses(value)
    if not name or re.search(r"[;,/]|\bor\b", name) or profile.dependent:
        return None
    inside = [part.strip() for text in re.findall(r"\(([^()]*)\)", value) for part in re.split(r" or |/|,", text)]
    return variants(name, *inside), {}


def read_former(value: str, profile: Profile) -> Answer | None:
    """Former names, any of them accepted."""
    names = [strip_parentheses(part).strip() for part in re.split(r",|;| or ", value)]
    if (
        not value
        or len(names) > 4
        or "sometimes" in value
        or "[" in value
        or re.search(r"\bincludes?\b|\band\b|/", value)
    ):
        return None
    return variants(names[0], *names[1:]), {}


def read_independence(value: str, profile: Profile) -> Answer | None:
    """The only year of independence."""
    dates = re.findall(r"\b(1[0-9]{3}|20\d\d)\b", value)
    if len(set(dates)) != 1 or ";" in value or "(from" not in value:
        return None
    full = _DATE.search(value)
    return (dates[0], *((f"{full['day']} {full['month']} {dates[0]}",) if full else ())), {}


def read_local(value: str, profile: Profile) -> Answer | None:
    """Local short form where it differs from the English name."""
    parts = [part.strip() for part in strip_parentheses(value).split("/")]
    name = parts[0]
    local, english = as_typed(fold(name)), as_typed(fold(profile.name))
    if not name or re.search(r"[;,]| or |\bnote\b", value) or local in english or english in local:
        return None
    return variants(name, *parts[1:]), {}


def read_code(value: str, profile: Profile) -> Answer | None:
    """The only internet country code, with and without its dot."""
    match = re.match(r"^(\.[a-z]{2})\b", value)
    several = re.search(r"\.[a-z]{2}\b.*\.[a-z]{2}\b", value)
    return ((match[1], match[1][1:]), {}) if match and not several else None


def read_largest_city(value: str, profile: Profile) -> Answer | None:
    """The city with the most people in the list."""
    found = re.findall(r"(\d[\d.,]*)( million)? ([A-ZÀ-Þ][^,;(\d]*)", value)
    sizes = sorted(((_people(number, million), name.strip()) for number, million, name in found), reverse=True)
    if not sizes or (len(sizes) > 1 and sizes[0][0] == sizes[1][0]):
        return None
    return variants(sizes[0][1]), {}


def _people(number: str, million: str) -> float:
    """The people of a city; of "872,000 million" the million is the source's slip."""
    count = float(number.strip(",.").replace(",", ""))
    return count * 1e6 if million and count < 1000 else count


def read_number(value: str, profile: Profile) -> Answer | None:
    """A number, with and without unit and separators."""
    match = re.match(
        r"^(?P<number>[\d.,]*\d(?: million| billion)?)(?P<unit> (?:sq )?km| years)?$", strip_parentheses(value).strip()
    )
    if not match or match["number"] in ("0", "0.0"):
        return None
    number = match["number"]
    unit = (match["unit"] or "").strip()
    forms = (*((f"{number} {unit}",) if unit else ()), number, number.replace(",", ""))
    return tuple(dict.fromkeys(forms)), {}


def read_agency(value: str, profile: Profile) -> Answer | None:
    """The only space agency, with its short name."""
    value = value.removeprefix("the ")
    match = re.match(r"^(?P<name>[A-Z][^();,]+) \((?P<inside>[^;()]*)", value)
    if not match or ";" in strip_parentheses(value) or re.search(r"\b(?:has|no)\b", match["name"]):
        return None
    return variants(match["name"], *re.split(r", | or ", match["inside"])), {}


def read_largest_share(value: str, profile: Profile) -> Answer | None:
    """The country with the largest share, unless two tie."""
    shares = re.findall(r"([A-Za-zÀ-ÿ& .'-]+?) <?(\d+)%", value)
    if len(shares) < 2 or shares[0][1] == shares[1][1]:
        return None
    name = shares[0][0].strip()
    return variants(name, *COUNTRY_FORMS.get(name, ())), {}


def read_commodity(value: str, profile: Profile) -> Answer | None:
    """The first of the listed commodities."""
    parts = strip_parentheses(value).split(",")
    return (variants(parts[0].strip()), {}) if len(parts) > 2 else None


READERS: Mapping[str, Reader] = {
    name.removeprefix("read_"): reader for name, reader in globals().items() if name.startswith("read_")
}
"""Every function of this file that is called read_…, by the rest of its name."""
