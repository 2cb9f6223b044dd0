"""Profile fields that hold one number: for questions whose answer is a number, and for claims about it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rag_lightning.mini.factbook import Path3, Profile

_VALUE = re.compile(
    r"^(?P<value>[-−]?\$?\d[\d,]*(?:\.\d+)?(?: (?:million|billion|trillion))?"
    r"(?:%| sq km| km| m\b| years?| metric tons| kWh| kW| bbl/day)?)(?P<rest>.*)$"
)


@dataclass(frozen=True)
class Quantity:
    """A relation whose value is a number.

    Args:
        path: The field.
        phrases: Noun phrases for it; {x} is the country. The last is for test only.
        unit: Put after the number where the field leaves it out, "" for none.
    """

    path: Path3
    phrases: tuple[str, str, str]
    unit: str = ""

    @property
    def label(self) -> str:
        """The label of its field in a passage."""
        return f"{self.path[0]} - {self.path[1]}"

    def read(self, profile: Profile) -> str | None:
        """The value as the passage writes it, None where there is none or more than a number."""
        match = _VALUE.match(profile.get(*self.path))
        number = re.sub(r"\D", "", match["value"]) if match else ""
        if not match or not number.strip("0") or not re.match(r"^\s*(?:\(|of |;|$|[a-z]+(?:\(s\))?(?: born)?/)", match["rest"]):
            return None
        return match["value"]



def verb_of(phrase: str) -> str:
    """is or are, was or were for a past year: "the reserves of chad" are, "the number of ports" is."""
    past = re.search(r" in 20\d\d$", phrase)
    head = phrase.split(" of ")[0].split(" in ")[0].split(" per ")[0]
    several = head.endswith("s") and not head.endswith("'s")
    return ("were" if past else "are") if several else ("was" if past else "is")


def _of(section: str, *path: str, phrases: tuple[str, str, str], unit: str = "") -> Quantity:
    return Quantity((section, *path), phrases, unit)


_LAND, _PEOPLE, _MONEY, _ENERGY, _STATE = "Geography", "People and Society", "Economy", "Energy", "Government"
_MOVING = "Transportation"


def _yearly(field: str, year: int, phrase: str, other: str, unseen: str) -> Quantity:
    phrases = tuple(f"{text} in {year}" for text in (phrase, other, unseen))
    return Quantity((_MONEY, field, f"{field} {year}"), phrases)  # type: ignore[arg-type]


_YEARLY = {
    "inflation": (
        "Inflation rate (consumer prices)",
        ("the inflation rate of {x}", "the rise of consumer prices in {x}", "inflation in {x}"),
    ),
    "unemployment": ("Unemployment rate", ("the unemployment rate of {x}", "unemployment in {x}", "the jobless rate of {x}")),
    "growth": (
        "Real GDP growth rate",
        ("the real gdp growth rate of {x}", "the growth of the economy of {x}", "economic growth in {x}"),
    ),
    "remittances": (
        "Remittances",
        ("the share of remittances in the gdp of {x}", "the remittances of {x} as a share of gdp", "the part of {x}'s gdp that is sent home from abroad"),
    ),
    "exports": ("Exports", ("the value of exports from {x}", "the export value of {x}", "the income of {x} from exports")),
    "imports": ("Imports", ("the value of imports into {x}", "the import value of {x}", "the bill of {x} for imports")),
    "account": (
        "Current account balance",
        ("the current account balance of {x}", "the balance of {x}'s current account", "the current account of {x}"),
    ),
    "per_capita": (
        "Real GDP per capita",
        ("the real gdp per capita of {x}", "the gdp per person of {x}", "economic output per head of {x}"),
    ),
    "reserves": (
        "Reserves of foreign exchange and gold",
        ("the foreign exchange and gold reserves of {x}", "the foreign reserves of {x}", "the reserves of money and gold held by {x}"),
    ),
}

_YEARS = {name: (2021, 2022, 2023, 2024) for name in ("exports", "imports", "remittances")}

QUANTITIES: dict[str, Quantity] = {
    "population": _of(
        _PEOPLE, "Population", "total",
        phrases=("the population of {x}", "the number of people in {x}", "the number of inhabitants of {x}"),
    ),
    "area": _of(
        _LAND, "Area", "total", phrases=("the total area of {x}", "the total size of {x}", "the extent of {x}")
    ),
    "land_area": _of(
        _LAND, "Area", "land", phrases=("the land area of {x}", "the dry land of {x}", "the area of {x} without water")
    ),
    "coastline": _of(
        _LAND, "Coastline", phrases=("the length of the coastline of {x}", "the length of {x}'s coast", "the coast of {x}")
    ),
    "land_borders": _of(
        _LAND, "Land boundaries", "total",
        phrases=("the total length of the land borders of {x}", "the length of {x}'s land boundaries", "the borders of {x} on land"),
    ),
    "mean_elevation": _of(
        _LAND, "Elevation", "mean elevation",
        phrases=("the mean elevation of {x}", "the average elevation of {x}", "the average height of {x} above the sea"),
    ),
    "irrigated": _of(
        _LAND, "Irrigated land",
        phrases=("the area of irrigated land in {x}", "the irrigated land of {x}", "the land under irrigation in {x}"),
    ),
    "forest": _of(
        _LAND, "Land use", "forest",
        phrases=("the share of forest in the land of {x}", "the forest share of {x}", "the part of {x} under forest"),
    ),
    "farmland": _of(
        _LAND, "Land use", "agricultural land",
        phrases=("the share of agricultural land in {x}", "the farmland share of {x}", "the part of {x} that is farmed"),
    ),
    "median_age": _of(
        _PEOPLE, "Median age", "total",
        phrases=("the median age in {x}", "the median age of the people of {x}", "the middle age of the population of {x}"),
    ),
    "life_expectancy": _of(
        _PEOPLE, "Life expectancy at birth", "total population",
        phrases=("the life expectancy in {x}", "the average life expectancy of {x}", "the expected length of life in {x}"),
    ),
    "women_life": _of(
        _PEOPLE, "Life expectancy at birth", "female",
        phrases=("the life expectancy of women in {x}", "the female life expectancy in {x}", "the expected length of a woman's life in {x}"),
    ),
    "birth_rate": _of(
        _PEOPLE, "Birth rate",
        phrases=("the birth rate of {x} per 1,000 people", "the births per 1,000 people in {x}", "{x}'s births a year for 1,000 people"),
    ),
    "death_rate": _of(
        _PEOPLE, "Death rate",
        phrases=("the death rate of {x} per 1,000 people", "the deaths per 1,000 people in {x}", "{x}'s deaths a year for 1,000 people"),
    ),
    "fertility": _of(
        _PEOPLE, "Total fertility rate",
        phrases=("the number of children born per woman in {x}", "the fertility rate of {x}", "the average number of children a woman has in {x}"),
    ),
    "population_growth": _of(
        _PEOPLE, "Population growth rate",
        phrases=("the population growth rate of {x}", "the yearly growth of the population of {x}", "the rate at which {x}'s population grows"),
    ),
    "infant_mortality": _of(
        _PEOPLE, "Infant mortality rate", "total",
        phrases=("the infant mortality rate of {x} per 1,000 births", "the infant deaths per 1,000 births in {x}", "{x}'s infant deaths for 1,000 births"),
    ),
    "maternal_mortality": _of(
        _PEOPLE, "Maternal mortality ratio",
        phrases=("the maternal mortality ratio of {x}", "the maternal deaths per 100,000 births in {x}", "{x}'s deaths of mothers for 100,000 births"),
    ),
    "urban": _of(
        _PEOPLE, "Urbanization", "urban population",
        phrases=("the urban share of the population of {x}", "the share of people in {x} who live in cities", "the city dwellers' share in {x}"),
    ),
    "obesity": _of(
        _PEOPLE, "Obesity - adult prevalence rate",
        phrases=("the adult obesity rate of {x}", "the share of adults in {x} who are obese", "the prevalence of obesity in {x}"),
    ),
    "tobacco": _of(
        _PEOPLE, "Tobacco use", "total",
        phrases=("the rate of tobacco use in {x}", "the share of people in {x} who use tobacco", "the share of smokers in {x}"),
    ),
    "physicians": _of(
        _PEOPLE, "Physician density",
        phrases=("the number of physicians per 1,000 people in {x}", "the physician density of {x}", "{x}'s doctors for 1,000 people"),
    ),
    "first_birth": _of(
        _PEOPLE, "Mother's mean age at first birth",
        phrases=("the mean age of mothers at first birth in {x}", "the mother's mean age at first birth in {x}", "the age at which women in {x} first give birth"),
    ),
    "poverty": _of(
        _MONEY, "Population below poverty line",
        phrases=("the share of people below the poverty line in {x}", "the poverty rate of {x}", "the part of {x}'s people who are poor"),
    ),
    "food_spending": _of(
        _MONEY, "Average household expenditures", "on food",
        phrases=("the share of household spending on food in {x}", "the food spending of households in {x}", "the food share of a household's budget in {x}"),
    ),
    "labor_force": _of(
        _MONEY, "Labor force", phrases=("the labor force of {x}", "the number of workers in {x}", "the size of {x}'s workforce")
    ),
    "gdp": _of(
        _MONEY, "GDP (official exchange rate)",
        phrases=("the gdp of {x} at the official exchange rate", "the gross domestic product of {x} at the official rate", "{x}'s economic output at the official rate"),
    ),
    "revenues": _of(
        _MONEY, "Budget", "revenues",
        phrases=("the budget revenues of {x}", "the revenues of the government of {x}", "the state income of {x}"),
    ),
    "electrification": _of(
        _ENERGY, "Electricity access", "electrification - total population",
        phrases=("the share of people with electricity in {x}", "the electrification of {x}", "the part of {x}'s people who have power"),
    ),
    "capacity": _of(
        _ENERGY, "Electricity", "installed generating capacity",
        phrases=("the installed generating capacity of {x}", "the generating capacity of {x}", "the power that {x}'s plants can make"),
    ),
    "oil_use": _of(
        _ENERGY, "Petroleum", "refined petroleum consumption",
        phrases=("the refined petroleum consumption of {x}", "the daily oil consumption of {x}", "the oil that {x} burns a day"),
    ),
    "hydro": _of(
        _ENERGY, "Electricity generation sources", "hydroelectricity",
        phrases=("the share of hydroelectricity in {x}", "the hydroelectric share of {x}'s power", "the part of {x}'s power that comes from water"),
    ),
    "solar": _of(
        _ENERGY, "Electricity generation sources", "solar",
        phrases=("the share of solar power in {x}", "the solar share of {x}'s power", "the part of {x}'s power that comes from the sun"),
    ),
    "wind": _of(
        _ENERGY, "Electricity generation sources", "wind",
        phrases=("the share of wind power in {x}", "the wind share of {x}'s power", "the part of {x}'s power that comes from wind"),
    ),
    "biomass": _of(
        _ENERGY, "Electricity generation sources", "biomass and waste",
        phrases=("the share of biomass power in {x}", "the biomass share of {x}'s power", "the part of {x}'s power that comes from biomass"),
    ),
    "power_exports": _of(
        _ENERGY, "Electricity", "exports",
        phrases=("the electricity sold abroad by {x}", "the electricity export of {x}", "the power that {x} sends abroad"),
    ),
    "power_imports": _of(
        _ENERGY, "Electricity", "imports",
        phrases=("the electricity bought abroad by {x}", "the electricity import of {x}", "the power that {x} takes from abroad"),
    ),
    "coal_use": _of(
        _ENERGY, "Coal", "consumption",
        phrases=("the coal consumption of {x}", "the amount of coal used in {x}", "the coal that {x} burns"),
    ),
    "coal_reserves": _of(
        _ENERGY, "Coal", "proven reserves",
        phrases=("the proven coal reserve of {x}", "the amount of coal in the ground of {x}", "the coal {x} can still mine"),
    ),
    "gas_use": _of(
        _ENERGY, "Natural gas", "consumption",
        phrases=("the natural gas consumption of {x}", "the amount of natural gas used in {x}", "the natural gas that {x} burns"),
    ),
    "gas_output": _of(
        _ENERGY, "Natural gas", "production",
        phrases=("the natural gas production of {x}", "the natural gas output of {x}", "the natural gas that {x} brings up"),
    ),
    "oil_output": _of(
        _ENERGY, "Petroleum", "total petroleum production",
        phrases=("the petroleum production of {x}", "the daily oil output of {x}", "the oil that {x} pumps a day"),
    ),
    "oil_reserves": _of(
        _ENERGY, "Petroleum", "crude oil estimated reserves",
        phrases=("the estimated crude oil reserve of {x}", "the amount of crude oil in the ground of {x}", "the crude oil {x} can still pump"),
    ),
    "debt_2023": _of(
        _MONEY, "Debt - external", "Debt - external 2023",
        phrases=("the external debt of {x} in 2023", "the foreign debt of {x} in 2023", "the debt {x} owed abroad in 2023"),
    ),
    "hospital_beds": _of(
        _PEOPLE, "Hospital bed density",
        phrases=("the number of hospital beds per 1,000 people in {x}", "the hospital bed density of {x}", "{x}'s hospital beds for 1,000 people"),
    ),
    "underweight": _of(
        _PEOPLE, "Children under the age of 5 years underweight",
        phrases=("the share of children under five in {x} who are underweight", "the rate of underweight small children in {x}", "the part of {x}'s small children who weigh too little"),
    ),
    "child_marriage": _of(
        _PEOPLE, "Child marriage", "women married by age 18",
        phrases=("the share of women in {x} married by age 18", "the child marriage rate of {x} by age 18", "the part of {x}'s women who marry before 18"),
    ),
    "refugees": _of(
        "Transnational Issues", "Refugees and internally displaced persons", "refugees",
        phrases=("the number of refugees in {x}", "the refugee count of {x}", "how many refugees {x} hosts"),
    ),
    "internet_users": _of(
        "Communications", "Internet users", "percent of population",
        phrases=("the share of people who use the internet in {x}", "the internet users' share in {x}", "the part of {x} that is online"),
    ),
    "airports": _of(
        _MOVING, "Airports", phrases=("the number of airports in {x}", "the airport count of {x}", "how many airports lie in {x}")
    ),
    "heliports": _of(
        _MOVING, "Heliports", phrases=("the number of heliports in {x}", "the heliport count of {x}", "how many heliports lie in {x}")
    ),
    "ships": _of(
        _MOVING, "Merchant marine", "total",
        phrases=("the number of ships in the merchant marine of {x}", "the size of {x}'s merchant fleet", "how many merchant ships sail under {x}'s flag"),
    ),
    "railways": _of(
        _MOVING, "Railways", "total",
        phrases=("the total length of the railways of {x}", "the length of {x}'s rail network", "how much railway {x} has"),
    ),
    "ports": _of(
        _MOVING, "Ports", "total ports", phrases=("the number of ports in {x}", "the port count of {x}", "how many ports lie in {x}")
    ),
    "heritage_sites": _of(
        _STATE, "National heritage", "total World Heritage Sites",
        phrases=("the number of world heritage sites in {x}", "the world heritage site count of {x}", "how many unesco sites lie in {x}"),
    ),
    "naturalization": _of(
        _STATE, "Citizenship", "residency requirement for naturalization",
        phrases=("the residency requirement for citizenship of {x}", "the years of residence before citizenship in {x}", "how long one lives in {x} before citizenship"),
    ),
    "seats": _of(
        _STATE, "Legislative branch", "number of seats",
        phrases=("the number of seats in the legislature of {x}", "the seat count of {x}'s legislature", "how many seats {x}'s legislature has"),
    ),
    "women_seats": _of(
        _STATE, "Legislative branch", "percentage of women in chamber",
        phrases=("the share of women in the legislature of {x}", "the percentage of women in {x}'s legislature", "the part of {x}'s legislature held by women"),
    ),
    "term": _of(
        _STATE, "Legislative branch", "term in office",
        phrases=("the term of office in the legislature of {x}", "the term of a member of {x}'s legislature", "how long {x}'s legislators serve"),
    ),
    **{
        f"{name}_{year}": _yearly(field, year, *phrases)
        for name, (field, phrases) in _YEARLY.items()
        for year in _YEARS.get(name, (2022, 2023, 2024))
    },
}
