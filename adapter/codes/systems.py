"""Which code system is meant, and how its codes are written before they are compared.

Servers name one system by URI, OID or an older URI (mappings/systems.toml); rows of different
systems never mix, because R65.1 means one thing in ICD-10-CM and the opposite in WHO ICD-10.
"""

import re
import tomllib
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from pathlib import Path

import msgspec

MAPPINGS = Path(__file__).resolve().parents[2] / "mappings"

CM = "http://hl7.org/fhir/sid/icd-10-cm"
WHO = "http://hl7.org/fhir/sid/icd-10"
GM = "http://fhir.de/CodeSystem/bfarm/icd-10-gm"
OPS = "http://fhir.de/CodeSystem/bfarm/ops"
NDC = "http://hl7.org/fhir/sid/ndc"
SNOMED = "http://snomed.info/sct"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
LOINC = "http://loinc.org"


class System(msgspec.Struct, frozen=True):
    """One code system: `name` is the short one we print."""

    name: str
    uri: str
    aliases: tuple[str, ...] = ()
    displays: bool = False  # may display texts be shipped?
    shipped: bool = True  # may codes be shipped at all? (CPT and NUBC: no)
    codes: str = ""  # the shape of a code


@cache
def systems() -> dict[str, System]:
    """Every system we know, by its URI."""
    tables = tomllib.loads((MAPPINGS / "systems.toml").read_text(encoding="utf-8"))
    named = [{"name": name, **table} for name, table in tables.items()]
    return {system.uri: system for system in msgspec.convert(named, list[System])}


@cache
def _aliases() -> dict[str, str]:
    return {
        _plain(text): system.uri
        for system in systems().values()
        for text in (system.uri, *system.aliases)
    }


def _plain(text: str) -> str:
    bare = text.strip().lower().removeprefix("urn:oid:")
    return bare.split("|")[0].removeprefix("https://").removeprefix("http://").rstrip("/")


#: WHO published these editions only; any other year under the WHO URI is a GM year.
_WHO_EDITIONS = frozenset({"2003", "2006", "2007", "2008", "2009", "2010", "2014", "2015", "2016"})
_YEAR = re.compile(r"20\d\d")


def system_of(text: str, version: str = "", who_is_gm: bool = False) -> str:
    """The URI our rows use for a system as sent; unknown systems come back without `urn:oid:`.

    German servers put ICD-10-GM codes under the WHO URI. That is believed only when `version`
    says so (it names GM, or is a year in which WHO published no edition) or the site's settings
    do (`who_is_gm`). 2019 is an edition of both and stays WHO.
    """
    plain = _plain(text)
    uri = _aliases().get(plain)
    if uri is None:
        if plain.startswith("snomed.info/sct/"):
            return SNOMED
        return text.strip().removeprefix("urn:oid:")
    if uri == WHO and (who_is_gm or _says_gm(version)):
        return GM
    return uri


def _says_gm(version: str) -> bool:
    if "gm" in version.lower():
        return True
    year = version.strip()
    return bool(_YEAR.fullmatch(year)) and year not in _WHO_EDITIONS | {"2019"}


def short_name(system: str) -> str:
    """ICD-10-CM for its URI; unknown systems are printed as they are."""
    uri = system_of(system)
    known = systems().get(uri)
    return known.name if known else uri


@lru_cache(256)  # every row of every table asks; together they name few systems
def from_short(text: str) -> str:
    """The URI for a URI, alias or short name in any case (what a person types)."""
    for system in systems().values():
        if system.name.lower() == text.strip().lower():
            return system.uri
    return system_of(text)


_ICD = re.compile(r"[A-Z]\d[0-9A-Z](?:\.?[0-9A-Z]{1,4})?")
_ICD_MARKS = "!*+†#-"  # dagger, star, exclamation mark; a trailing hyphen stands for any digit


def _icd_codes(text: str) -> Iterator[str]:
    """`S62.32 Z33!` is two codes; what follows the last code ("C83.3 Lymphom") is text."""
    for part in re.split(r"[\s,;]+", text.upper().strip()):
        code = part.rstrip(_ICD_MARKS).rstrip(".")
        if not _ICD.fullmatch(code):
            return
        yield code.replace(".", "")


#: "A41.9 V", "A41.9V": German billing writes how sure the diagnosis is behind the code.
_GERMAN = re.compile(r"(?<!\w)([A-Z]\d\d(?:\.?\d\d?)?)[.!*+†#-]*\s*([AVZG])(?!\w)")


def certainties(system: str, text: str) -> dict[str, str]:
    """The certainty letter of each code in one `Coding.code`, as codes_in() writes the codes.

    WHO codes have no letters, but German servers send GM under the WHO URI. In ICD-10-CM a letter
    is part of the code (T86.01XA).
    """
    if system not in (GM, WHO):
        return {}
    return {code.replace(".", ""): letter for code, letter in _GERMAN.findall(text.upper())}


def _german_codes(text: str) -> Iterator[str]:
    return _icd_codes(_GERMAN.sub(r"\1 ", text.upper()))


def _ops_codes(text: str) -> Iterator[str]:
    """`8-805.0:R` names a side after the colon; several codes are parted by blanks."""
    for part in text.upper().split():
        yield part.split(":")[0].rstrip("!*+#").replace(".", "")


def _ndc_codes(text: str) -> Iterator[str]:
    """The 11-digit form (5-4-2) of 10 or 11 digits, or of a labeler-product pair.

    Ten digits without hyphens may be cut 4-4-2, 5-3-2 or 5-4-1: all three are offered.
    """
    bare = text.strip()
    if "-" in bare:
        parts = zip(bare.split("-"), (5, 4, 2), strict=False)
        yield "".join(part.zfill(width) for part, width in parts)
    elif len(bare) == 10:
        yield "0" + bare
        yield bare[:5] + "0" + bare[5:]
        yield bare[:9] + "0" + bare[9:]
    else:
        yield bare


_WRITTEN: dict[str, Callable[[str], Iterator[str]]] = {
    CM: _icd_codes, WHO: _german_codes, GM: _german_codes, OPS: _ops_codes, NDC: _ndc_codes,
}  # fmt: skip


def codes_in(system: str, text: str) -> tuple[str, ...]:
    """The codes of `system` (a URI of ours) in one `Coding.code`, as rows are compared."""
    return tuple(_WRITTEN[system](text)) if system in _WRITTEN else (text.strip().upper(),)


def row_code(system: str, code: str) -> str:
    """A row's code as it is compared; prefixes such as `C0` or `V` are no whole codes."""
    if system in (CM, WHO, GM):
        return code.strip().upper().replace(".", "")
    return next(iter(codes_in(system, code)), "")
