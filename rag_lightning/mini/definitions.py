"""Definition questions: a lead's first sentence turned round ("X is the …" -> "what is the …")."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from rag_lightning.metrics.answers import tokenize
from rag_lightning.mini.fact import Fact
from rag_lightning.mini.gold import GoldFinder
from rag_lightning.mini.text import as_typed, fold, strip_parentheses, variants
from rag_lightning.mini.wiki import Lead, first_sentence

_COPULA = re.compile(r"^(?P<subject>.{2,160}?),? (?P<verb>is|was|are|were) (?P<rest>(?:a|an|the|any|one of) .+)$")
_CUT = re.compile(
    r"[;:]|, which\b|, who\b|, whose\b|, where\b|, with\b|, although\b|, but\b"
    r"|, and (?:is|was|are|were)\b|--| \u2013 | \u2014 "
)
_ALIAS_LIST = re.compile(
    r"(?:(?:also|commonly|sometimes|often|usually|better|formally|officially|more commonly) )*"
    r"(?:known(?: simply)? as|called|referred to as|spelled|or)(?: the)? (?P<names>.+)$"
)
_TELLING = re.compile(r"\b(?:who|whose|whom|known|famous|noted|remembered)\b|\d{3,4}|^the ")
_STOP_WORDS = (
    "a an the of in on at to for from by with and or as is are was were be been being it its that this these those "
    "which who whom whose what when where how not no than then into over under between among through during before "
    "after about any some most more many much one two also such other others known called used usually often generally "
    "typically commonly can may has have had his her their they he she"
)
STOP_WORDS = frozenset(_STOP_WORDS.split())
_LEADING = re.compile(
    r"^(?:(?:also|or|and|officially|formerly|commonly|sometimes|simply|more|less|historically|natively|known|as) )*"
    r"(?:(?:a|an|the) )?",
    re.IGNORECASE,
)
MIN_WORDS, MAX_WORDS = 4, 26


class DefinitionMaker:
    """Turn leads into definition facts, counting why others are left out."""

    def __init__(self, finder: GoldFinder, dropped: Counter[str]) -> None:
        self.finder = finder
        self.dropped = dropped
        self._own_rows: dict[str, set[int]] = {}
        for row, passage in enumerate(finder.passages):
            self._own_rows.setdefault(passage.title, set()).add(row)

    def facts(self, leads: Sequence[Lead]) -> Iterator[Fact]:
        """All definition facts, in the leads' order; equal descriptions are all left out."""
        made = [fact for fact in map(self._fact, leads) if fact]
        seen = Counter(as_typed(fact.slots["d"]) for fact in made)
        for fact in made:
            if seen[as_typed(fact.slots["d"])] == 1:
                yield fact
            else:
                self.dropped["definition: the same words define two articles"] += 1

    def _fact(self, lead: Lead) -> Fact | None:
        match = _COPULA.match(first_sentence(lead.text))
        if not match:
            self.dropped["definition: first sentence is not 'X is a/an/the …'"] += 1
            return None
        names = [strip_parentheses(lead.title), *aliases(match["subject"], lead.title)]
        description = describe(match["rest"])
        problem = self._problem(lead, match["subject"], names, description)
        if problem:
            self.dropped[f"definition: {problem}"] += 1
            return None
        answers = variants(lead.title, *names[1:])
        rows = self.finder.holding([description]) & self.finder.holding(answers, title_too=False)
        own = rows & self._own_rows[lead.title]
        if not own:
            self.dropped["definition: no passage holds description and answer"] += 1
            return None
        answers = tuple(sorted(answers, key=lambda form: not (own & self.finder.holding([form]))))
        kind = _template(lead, match["verb"], description)
        slots = {"x": as_typed(names[0]), "d": description, "was": match["verb"], "template": kind}
        topic = lead.topic.lower().replace(" ", "_")
        return Fact("definition", f"definition/{topic}", lead.title, slots, answers, self.finder.ids(rows, own))

    def _problem(self, lead: Lead, subject: str, names: list[str], description: str) -> str | None:
        words = description.split()
        if not MIN_WORDS <= len(words) <= MAX_WORDS:
            return f"shorter than {MIN_WORDS} or longer than {MAX_WORDS} words"
        title_words = stems(" ".join([*names, subject]))
        if not stems(names[0]) & stems(subject):
            return "its subject is not the title"
        if title_words & stems(description):
            return "holds a word of the title"
        if lead.topic == "People" and not _tells_a_person(description):
            return "a bare profession"
        content = [word for word in tokenize(description) if word.isalnum() and word not in STOP_WORDS]
        if description.startswith("one of ") and not _TELLING.search(description):
            return "one of several"
        if len(content) < (3 if description.startswith("the ") else 5):
            return "too few telling words"
        if self.finder.with_words(content) - self._own_rows[lead.title]:
            return "another article holds all its words"
        return None


def _tells_a_person(description: str) -> bool:
    """More than nationality and trade: a deed, a year, an office that one holds, or a long description."""
    return bool(_TELLING.search(description)) or (" of " in description and len(description.split()) >= 14)


def describe(rest: str) -> str:
    """The description that a question asks for: cut at the first clause that leads away, parentheses removed."""
    text = strip_parentheses(rest)
    cut = _CUT.search(text)
    return (text[: cut.start()] if cut else text).strip(" ,.\"'")


def aliases(subject: str, title: str) -> list[str]:
    """Other names that the subject gives: "Typhoid fever, also known as typhoid," -> ["Typhoid fever", "typhoid"]."""
    head, *others = re.split(r",\s*|\s+(?=or\s)", strip_parentheses(subject))
    is_name = stems(head) & stems(strip_parentheses(title)) and not head.startswith(("In ", "For "))
    found = [head] if is_name else []
    for part in others:
        match = _ALIAS_LIST.match(part.strip())
        if match:
            found += re.split(r"\s+(?:or|and)\s+", match["names"])
    bare = [_LEADING.sub("", name.strip(' "“”,')) for name in found]
    return [name for name in bare if 0 < len(name.split()) <= 6 and not re.search(r"^(?:in|when|as) | in the ", name)]


def stems(text: str) -> set[str]:
    """Content words of three letters and more, without accents and plural endings."""
    words = re.findall(r"[a-z0-9]+", fold(text).lower())
    return {re.sub(r"(?:ies|es|s|y|e)$", "", word) for word in words if word not in STOP_WORDS and len(word) > 2}


def _template(lead: Lead, verb: str, description: str) -> str:
    if lead.topic == "People" and verb in ("is", "was"):
        return "definition/person"
    if verb in ("are", "were"):
        return "definition/plural"
    return "definition/the" if description.startswith("the ") else "definition/a"
