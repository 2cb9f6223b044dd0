"""Every fact that stands in the corpus: definitions, facts of country profiles, facts of leads."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from rag_lightning.mini.corpus import World
from rag_lightning.mini.leads import LEAD_READERS, aliases
from rag_lightning.mini.offices import Answer
from rag_lightning.mini.relations import Relation, relations
from rag_lightning.mini.sources import Lead, Profile
from rag_lightning.mini.text import as_typed, content_words, stems, strip_parentheses, variants, well_formed

DEFINITION_QUESTIONS: Mapping[str, tuple[str, ...]] = {
    "the": ("what {was} {d}", "what do you call {d}", "what is the name of {d}", "{d} is called what"),
    "a": ("what do you call {d}", "what is the word for {d}", "name {d}", "which thing {was} {d}"),
    "plural": ("what do you call {d}", "name {d}", "what {was} {d}", "which things {was} {d}"),
    "person": ("who {was} {d}", "name {d}", "what is the name of {d}", "which person {was} {d}"),
}
"""By kind of description; {d} is the description, {was} the verb of the lead."""
_COPULA = re.compile(r"^(?P<subject>.{2,160}?),? (?P<verb>is|was|are|were) (?P<rest>(?:a|an|the|any|one of) .+)$")
_CUT = re.compile(
    r"[;:]|, which\b|, who\b|, whose\b|, where\b|, with\b|, although\b|, but\b"
    r"|, and (?:is|was|are|were)\b|--| \u2013 | \u2014 "
)
_TELLING = re.compile(r"\b(?:who|whose|whom|known|famous|noted|remembered)\b|\d{3,4}|^the ")
MIN_WORDS, MAX_WORDS = 4, 26
MALFORMED = "the answer is a piece of a name"
NOT_ASKED_FOR = "the profile says that the answer is another thing"
OPEN = "the description fits other things as well"
CUT_OFF = "the description is cut off"
_OF_MANY = re.compile(
    r"^(?:an?|one of(?: the| several| many)?) (?:[\w'-]+ ){0,4}?(?:genus|family|order|class|phylum|clade|species|breed"
    r"|group of (?:protists|[\w-]+ cultivars)|unit|city|town|municipality|district|river|lake|language|dialect|bird"
    r"|fish|shrub|tree|poem|novel|play|fresco|painting|opera|symphony|camelid|food item)\b(?! with| for)"
)
_OF_ONE = re.compile(
    r"\d|\b(?:only|first|last|second|best|most|that|which|who|whose|where|known|named|called|famous|capital|used"
    r"|comprising(?! mostly)|comprises|containing|consisting|including|includes?|make|makes|between|formed|founded"
    r"|created|originated|\w+est)\b"
)
_VAGUE_DEED = re.compile(
    r"\b(?:who made|known for (?:his|her|their)) (?:[\w,-]+ ){0,3}contributions? (?:to|in) (?:the )?(?:\w+ ?){1,2}$"
    r"|^an? (?:\w+ ){1,3}used in a (?:wide|large|great) (?:variety|range|number) of \w+$"
)
_DANGLING = re.compile(r"\b(?:an?|the) \d+$|\b(?:of|in|by|with|to|from|and|or|the|an?)$")
_SHARED_OBJECT = re.compile(r"^, and (?:is|was|are|were) \w+ \w+, ")


@dataclass(frozen=True, eq=False)
class Fact:
    """One (entity, relation, answer) that stands in the corpus, and how it is asked.

    Args:
        family: The kind of source or question: definition, profile, lead_fact, two_hop …; a tag.
        relation: Name used for caps and tags; a definition's is `definition/<topic>`.
        entity: What the question is about; splits never share one.
        questions: Phrasings with the same meaning; of two or more, the last is for test only.
        answers: Accepted strings; the first is the surface that stands in a passage.
        gold: Passage ids, the one the fact was read from first.
        slots: What fills the places of a relation's texts ("x" is the entity as people type it).
        targets: What to train towards where that differs from the answers.
        tags: Further tags of the examples; they take precedence.
        key: Tells facts of one entity and relation apart.
        fault: Why a question would not be sound, "" if nothing is known against it. Such a fact is dealt out with the
            others, so that no other entity changes its split and no other question its words, and then left out.
    """

    family: str
    relation: str
    entity: str
    questions: tuple[str, ...]
    answers: tuple[str, ...]
    gold: tuple[str, ...] = ()
    slots: Mapping[str, str] = field(default_factory=dict)
    targets: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    key: str = ""
    fault: str = ""


def filled(templates: Iterable[str], slots: Mapping[str, str]) -> tuple[str, ...]:
    """The templates with their places filled."""
    return tuple(template.format(**slots) for template in templates)


def gather_facts(world: World, dropped: Counter[str]) -> list[Fact]:
    """Every definition, profile and lead fact; why others are left out is counted in `dropped`."""
    found = [*definitions(world, dropped), *_of_profiles(world, dropped), *_of_leads(world, dropped)]
    return [_judged(fact) for fact in found]


def _judged(fact: Fact) -> Fact:
    return fact if fact.fault or well_formed(fact.answers[0]) else replace(fact, fault=MALFORMED)


def profile_facts(profile: Profile) -> Iterator[tuple[Relation, Answer]]:
    """Every relation that has one clear answer in this profile, with the answer."""
    for relation in relations().values():
        answer = relation.read(profile) if relation.reader else None
        if answer:
            yield relation, answer


def lead_facts(lead: Lead) -> Iterator[tuple[Relation, tuple[str, ...]]]:
    """Every relation that a reader finds in this lead, with the accepted answers."""
    made = False
    for relation in relations().values():
        # A work is of one kind: the first that fits decides, also where it tells no maker.
        if not relation.lead_reader or (made and relation.lead_reader == "maker"):
            continue
        answers = LEAD_READERS[relation.lead_reader](lead, relation.pattern)
        made = made or (relation.lead_reader == "maker" and answers is not None)
        if answers:
            yield relation, answers


def _of_profiles(world: World, dropped: Counter[str]) -> Iterator[Fact]:
    for profile in world.profiles:
        named = world.naming_country(profile)
        slots = {"x": profile.typed, "land": "territory" if profile.dependent else "country"}
        for relation, (answers, more) in profile_facts(profile):
            source = world.field_rows(profile, relation.label) & world.finder.holding(answers[:1])
            if not source:
                dropped[f"{relation.name}: the answer does not stand in a passage"] += 1
                continue
            gold = world.finder.ids(named & world.finder.holding(answers), source)
            asked = filled(relation.questions, {**slots, **more})
            fault = NOT_ASKED_FOR if relation.wrong(profile) else ""
            yield Fact("profile", relation.name, profile.name, asked, answers, gold, {**slots, **more}, fault=fault)


def _of_leads(world: World, dropped: Counter[str]) -> Iterator[Fact]:
    for lead in world.leads:
        for relation, answers in lead_facts(lead):
            if lead.typed is None:
                dropped[f"{relation.name}: the title alone would mean something else"] += 1
                continue
            own = world.lead_rows(lead) & world.finder.holding(answers[:1])
            if not own or lead.typed in {answer.lower() for answer in answers}:
                dropped[f"{relation.name}: the answer does not stand in a passage, or is the title"] += 1
                continue
            gold = world.finder.ids(world.naming_lead(lead) & world.finder.holding(answers), own)
            slots = {"x": lead.typed}
            yield Fact("lead_fact", relation.name, lead.title, filled(relation.questions, slots), answers, gold, slots)


def quantities(world: World, profiles: Iterable[Profile]) -> Iterator[tuple[Profile, Relation, str, tuple[str, ...]]]:
    """(profile, relation, value, gold passages) of every quantity.

    The value is "" where the field does not hold exactly one number; gold is () where no passage holds field and value.
    """
    measured = [relation for relation in relations().values() if relation.phrases]
    for profile in profiles:
        for relation in measured:
            value = relation.quantity(profile) or ""
            rows = world.field_rows(profile, relation.label) & world.finder.holding([value]) if value else ()
            yield profile, relation, value, world.finder.ids(rows)


def definitions(world: World, dropped: Counter[str]) -> Iterator[Fact]:
    """Leads turned round ("X is the …" -> "what is the …"), in order; equal descriptions are all left out."""
    made = [fact for lead in world.leads if (fact := _definition(world, lead, dropped))]
    seen = Counter(as_typed(fact.slots["d"]) for fact in made)
    for fact in made:
        if seen[as_typed(fact.slots["d"])] == 1:
            yield fact
        else:
            dropped["definition: the same words define two articles"] += 1


def _definition(world: World, lead: Lead, dropped: Counter[str]) -> Fact | None:
    match = _COPULA.match(lead.sentences[0]) if lead.sentences else None
    if not match:
        dropped["definition: first sentence is not 'X is a/an/the …'"] += 1
        return None
    names = [strip_parentheses(lead.title), *aliases(match["subject"], lead.title)]
    description = describe(match["rest"])
    problem = _problem(world, lead, [*names, match["subject"]], description)
    if problem:
        dropped[f"definition: {problem}"] += 1
        return None
    answers = variants(lead.title, *names[1:])
    rows = world.finder.holding([description]) & world.finder.holding(answers)
    own = rows & world.lead_rows(lead)
    if not own:
        dropped["definition: no passage holds description and answer"] += 1
        return None
    answers = tuple(sorted(answers, key=lambda form: not (own & world.finder.holding([form]))))
    kind = _kind(lead, match["verb"], description)
    slots = {"x": as_typed(names[0]), "d": description, "was": match["verb"], "kind": kind}
    asked, gold = filled(DEFINITION_QUESTIONS[kind], slots), world.finder.ids(rows, own)
    relation, fault = f"definition/{lead.topic_tag}", _fault_of(description, match["rest"])
    return Fact("definition", relation, lead.title, asked, answers, gold, slots, fault=fault)


def _fault_of(description: str, rest: str) -> str:
    cut = _CUT.search(strip_parentheses(rest))
    # "a measure of its opposition": of something that only the sentence's subject names.
    broken = _DANGLING.search(description) or not well_formed(description) or "its" in description.split()[:5]
    if broken or (cut and _SHARED_OBJECT.match(strip_parentheses(rest)[cut.start() :])):
        return CUT_OFF
    return OPEN if is_open(description) else ""


def is_open(description: str) -> bool:
    """Whether a description says of what its subject is one of many, and nothing that tells it from the others.

    >>> is_open("a class of parasitic worms in the flatworm phylum"), is_open("a country that has no coast")
    (True, False)
    """
    return bool(_VAGUE_DEED.search(description) or (_OF_MANY.search(description) and not _OF_ONE.search(description)))


def _problem(world: World, lead: Lead, names: list[str], description: str) -> str | None:
    """Why the description makes no question; the first name is the title's, the last the sentence's subject."""
    content = content_words(description)
    if not MIN_WORDS <= len(description.split()) <= MAX_WORDS:
        return f"shorter than {MIN_WORDS} or longer than {MAX_WORDS} words"
    if not stems(names[0]) & stems(names[-1]):
        return "its subject is not the title"
    if stems(" ".join(names)) & stems(description):
        return "holds a word of the title"
    if lead.topic == "People" and not _tells_a_person(description):
        return "a bare profession"
    if description.startswith("one of ") and not _TELLING.search(description):
        return "one of several"
    if len(content) < (3 if description.startswith("the ") else 5):
        return "too few telling words"
    if world.finder.with_words(content) - world.lead_rows(lead):
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


def _kind(lead: Lead, verb: str, description: str) -> str:
    if lead.topic == "People" and verb in ("is", "was"):
        return "person"
    if verb in ("are", "were"):
        return "plural"
    return "the" if description.startswith("the ") else "a"
