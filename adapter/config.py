"""study.toml and the command line become one checked object; an unknown key is an error.

Keys are the long options without dashes (``site-mappings`` or ``site_mappings``). Secrets are never
written here: a setting names the file or the environment variable that holds them.
"""

import difflib
import os
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from adapter.envelope import TYPES
from adapter.errors import UNREADABLE, ConfigError
from adapter.pool import cores


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Hematotox(_Section):
    """CAR-HEMATOTOX cut-offs (doi 10.1182/blood.2020010543).

    From general knowledge, not seen in the paper: set `verified` once somebody has compared them.
    """

    platelets: tuple[float, float] = (75, 175)
    """G/L: 2 points below the first, 1 up to the second."""
    anc: float = 1200
    """/µL: 1 point at or below."""
    hemoglobin: float = 9.0
    """g/dL: 1 point at or below."""
    crp: float = 3.0
    """mg/dL (not mg/L): 1 point from here."""
    ferritin: tuple[float, float] = (650, 2000)
    """ng/mL: 1 point from the first, 2 above the second."""
    high: int = 2
    """High risk from this score (sourced)."""
    verified: bool = False


class Policy(_Section):
    """How the study decides; every default is written down in docs/decisions/."""

    course_gap_days: int = Field(default=21, ge=0)
    """Infusions of one product this close are one course (convention; obe-cel days 1 and 10)."""
    relapse_evidence: Literal["documented", "documented+therapy"] = "documented"
    """What counts as relapse: what is recorded as such, or anticancer therapy as well."""
    next_therapy: Literal["ignore", "censor"] = "ignore"
    """Anticancer therapy without recorded progression, unless it counts as relapse; always sent to
    review."""
    later_hct: Literal["ignore", "censor", "relapse"] = "ignore"
    """Allogeneic transplant without recorded progression; always sent to review."""
    carried_forward_days: int = Field(default=28, ge=0)
    """Relapse statements without a date of their own this soon after infusion are copied ones."""
    after_death_days: int = Field(default=60, ge=0)
    """Resources this long after death are normal (autopsy, late entry)."""
    horizons: tuple[int, ...] = (28, 30, 90, 100, 180, 365, 730)
    """Days at which curves are read (landmarks of the literature)."""
    early_late_day: int = Field(default=28, ge=1)
    """NRM before this day is early (DESCAR-T, Lemoine et al. 2023)."""
    scheme: Literal["ebmt", "cibmtr"] = "ebmt"
    """Which registry's reading of the main cause is the primary one."""
    hematotox: Hematotox = Hematotox()
    lost_after_days: int = Field(default=365, ge=1)
    """Alive and silent for longer than this before the data cut counts as lost to follow-up."""

    infection_windows: tuple[int, ...] = (30, 100, 180)
    """Last day of each window of infection density; what comes later is one window more.
    Published windows differ (28/90, 30, 30/90 days): docs/clinical.md §5."""
    infection_repeat_days: int = Field(default=14, ge=0)
    """Statements of one class of organism this close are one infection (NHSN repeat-infection
    timeframe, as remembered)."""
    low_igg: float = Field(default=400, gt=0)
    """mg/dL: severe hypogammaglobulinaemia (Hill and Seo 2020; Fred Hutch guideline)."""
    low_cd4: float = Field(default=200, gt=0)
    """/µL: the usual limit for stopping prophylaxis (docs/clinical.md §6)."""

    iec_hs_ferritin: float = Field(default=10_000.0, gt=0)
    """ng/mL; Hines et al. 2023 say > 2x upper normal or baseline (from memory), which sepsis meets
    too; this convention is the level at which hyperinflammation is usually suspected."""
    iec_hs_transaminase: float = Field(default=200.0, gt=0)
    """U/L of AST or ALT: 5x an upper normal of 40 (Hines et al. 2023, from memory)."""
    iec_hs_fibrinogen: float = Field(default=150.0, gt=0)
    """mg/dL (Hines et al. 2023, from memory)."""
    iec_hs_criteria: int = Field(default=2, ge=1, le=3)
    """How many of liver, fibrinogen and platelets must join ferritin (convention)."""


class RuleChange(_Section):
    """A changed window or rank of one cause rule; the report prints the reason."""

    reason: str = Field(min_length=3)
    window: int | None = Field(default=None, ge=0)
    rank: int | None = None
    enabled: bool = True


class Auth(_Section):
    """How we identify ourselves; secrets by file or environment variable only."""

    kind: Literal["none", "bearer", "basic", "client-secret", "smart"] = "none"
    client_id: str = ""
    user: str = ""
    secret_file: Path | None = None
    secret_env: str = ""
    key_file: Path | None = None
    """Private key of SMART Backend Services: PEM, JWK or JWKS (`key-id` chooses)."""
    key_id: str = ""
    algorithm: Literal["RS384", "ES384"] = "RS384"
    token_url: str = ""
    """Overrides the address the server advertises, which is wrong at some sites."""
    scope: str = ""
    """Empty: one read scope per type, in the SMART version the server speaks."""
    client_style: Literal["auto", "header", "body"] = "auto"
    """Where the client secret goes; `auto` asks the server's SMART configuration."""


class Connection(_Section):
    """How the server is spoken to."""

    quirks: str = ""
    """Name of a file in adapter/fhir/quirks/ (without `.toml`), or the path of a site's own."""
    types: tuple[str, ...] = TYPES
    """Resource types to ask for; leave out what the server may not give."""
    page_size: int = Field(default=200, ge=1, le=10_000)
    parallel: int = Field(default=4, ge=1, le=32)
    timeout_seconds: float = Field(default=60.0, gt=0)
    retries: int = Field(default=5, ge=0)
    longest_wait_seconds: float = Field(default=300.0, ge=0)
    deadline_hours: float = Field(default=20.0, gt=0)
    """A sync that runs longer stops asking; what is missing stays due."""
    longest_answer_mb: int = Field(default=200, ge=1)
    """One page larger than this is refused (a compressed bomb, or far too large a page)."""
    longest_line_mb: int = Field(default=64, ge=1)
    """One bulk line larger than this is an attachment, not a fact: kept as a reject."""
    overlap_seconds: int = Field(default=300, ge=0)
    """How far back each sync looks again: servers index late."""
    full_compare_days: int = Field(default=7, ge=1)
    """Every so many days all ids are compared, whatever the counts say."""
    vanish_brake_percent: float = Field(default=20.0, ge=0, le=100)
    """More than this share of a type gone in one night pulls the brake (exit code 21)."""
    ca_file: Path | None = None
    proxy: str = ""
    own_paths: tuple[str, ...] = ()
    """Paths beside the base that are the same service, relative to it (`../BulkRequest`)."""
    bulk_hosts: tuple[str, ...] = ()
    """Other hosts (`host` or `host:port`) that may serve export files, without our token."""
    find: Literal["auto", "procedures", "medications", "group", "patients", "all"] = "auto"
    group: str = ""
    """Id of a Group whose members are the patients."""
    patients: Path | None = None
    """File with one patient id a line."""
    mode: Literal["search", "bulk"] = "search"
    export: Literal["auto", "system", "patient", "group"] = "auto"
    """Which $export bulk mode asks for; `auto`: the group if one is named, else patients."""


class Mail(_Section):
    """Who is written to after a night; the message holds counts only."""

    to: tuple[str, ...] = ()
    sender: str = "cart-nrm@localhost"
    server: str = "localhost"
    port: int = Field(default=25, ge=1, le=65_535)
    security: Literal["none", "starttls", "tls"] = "starttls"
    user: str = ""
    password_file: Path | None = None
    password_env: str = ""


class Nightly(_Section):
    """What `nightly` writes, keeps and tells."""

    folder: Path = Path("nights")
    """Where the dated folders, `latest` and the journal lie; by default beside the store."""
    keep: int = Field(default=30, ge=1)
    """So many dated folders are kept; the one behind `latest` always is."""
    formats: tuple[str, ...] = ("csv", "summary.json")
    """Endings of the cohort files, as `export` knows them."""
    dates: Literal["days", "shift", "year"] = "days"
    columns: tuple[str, ...] = ()
    """Only these columns of the cohort leave in its files; empty: all."""
    small_cells: int = Field(default=5, ge=0)
    free_mb: int = Field(default=1_000, ge=0)
    """Nothing is begun with less free space than this beside the store or the outputs."""
    heartbeat: Path | None = None
    """A small file written after every night; older than a day means that nights do not end."""
    metrics: Path | None = None
    """Metrics for the textfile collector of Prometheus node_exporter, name ending in .prom."""
    webhook_file: Path | None = None
    """File with the URL to POST to: such URLs are secrets."""
    webhook_env: str = ""
    mail: Mail = Mail()
    tell: Literal["problems", "always"] = "problems"
    """After which nights webhook and mail are used."""


class Settings(_Section):
    """Everything study.toml may say."""

    store: Path = Path("cart-nrm.db")
    server: str = ""
    site_mappings: Path | None = None
    prophylaxis: Path | None = None
    """A site's own table of prophylaxis rules in place of mappings/prophylaxis.csv."""
    include_unverified: bool = False
    who_is_gm: bool = False
    """The server puts ICD-10-GM codes under the WHO ICD-10 URI (as German servers do)."""
    timezone: str = ""
    """IANA name: instants with an offset are moved to this site's calendar day."""
    workers: int = Field(default_factory=cores, ge=1)
    """Processes that load and classify; as many as there are processors unless told."""
    study_name: str = "CAR T cohort"
    identified_exports: bool = False
    """`export --identified` is allowed; each is a line in the journal of the nights."""
    auth: Auth = Auth()
    connection: Connection = Connection()
    policy: Policy = Policy()
    rules: dict[str, RuleChange] = {}
    nightly: Nightly = Nightly()

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        from zoneinfo import ZoneInfo

        try:
            ZoneInfo(value or "UTC")
        except (KeyError, OSError):
            raise ValueError(f"no time zone is called {value!r}") from None
        return value


def read_settings(path: Path | None, overrides: dict[str, Any] | None = None) -> Settings:
    """study.toml with the command line's options over it; paths in the file are relative to it."""
    values: dict[str, Any] = {}
    if path is not None:
        values = _underscored(_toml(path))
        _resolve_paths(values, path.parent)
    values.update({k: v for k, v in (overrides or {}).items() if v is not None})
    if isinstance(nightly := values.setdefault("nightly", {}), dict):  # beside the store
        nightly.setdefault("folder", Path(str(values.get("store", ""))).parent / Nightly().folder)
    try:
        return Settings.model_validate(values)
    except ValidationError as problem:
        raise ConfigError(_in_words(problem, path), "Correct it and run again.") from None


def secret(file: Path | None, env: str) -> str:
    """The secret held by a file or an environment variable."""
    if file is not None:
        try:
            return file.read_text().strip()
        except (OSError, UnicodeDecodeError):
            hint = "It must be text that this user may read."
            raise ConfigError(f"The secret file {file} cannot be read.", hint) from None
    if env and os.environ.get(env):
        return os.environ[env]
    raise ConfigError("No secret is set.", "Name it with auth.secret-file or auth.secret-env.")


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as problem:
        hint = "Name the settings with --config; examples/nightly/study.toml shows how they look."
        raise ConfigError(f"{path} cannot be read: {problem.strerror}.", hint) from None
    except UNREADABLE as problem:
        raise ConfigError(f"{path} is not TOML: {problem}.", "Correct that place.") from None


def _resolve_paths(values: dict[str, Any], folder: Path) -> None:
    """Paths in study.toml are relative to it, also those in its sections."""
    auth, connection = values.get("auth", {}), values.get("connection", {})
    nightly = values.get("nightly", {})
    mail = nightly.get("mail", {}) if isinstance(nightly, dict) else {}
    own = ("store", "site_mappings", "prophylaxis")
    places: list[tuple[Any, tuple[str, ...]]] = [(values, own)]
    places += [(auth, ("secret_file", "key_file")), (connection, ("ca_file", "patients"))]
    places += [(nightly, ("folder", "heartbeat", "metrics", "webhook_file"))]
    places += [(mail, ("password_file",))]
    if str(isinstance(connection, dict) and connection.get("quirks", "")).endswith(".toml"):
        places.append((connection, ("quirks",)))
    for section, keys in places:
        for key in keys:
            if isinstance(section, dict) and isinstance(section.get(key), str):
                section[key] = str(folder / os.path.expanduser(section[key]))


def _underscored(values: dict[str, Any]) -> dict[str, Any]:
    """site-mappings and site_mappings are the same key; rule names are kept as written."""
    named = [key.replace("-", "_") for key in values]
    if twice := [key for key in values if "_" in key and named.count(key) > 1]:
        other = twice[0].replace("_", "-")
        raise ConfigError(f"{twice[0]} is given twice, also as {other}.", "Delete one of them.")
    return {
        key.replace("-", "_"): _underscored(value)
        if isinstance(value, dict) and key != "rules"
        else value
        for key, value in values.items()
    }


def _in_words(problem: ValidationError, path: Path | None) -> str:
    lines: list[str] = []
    for error in problem.errors():
        *section, key = (str(part) for part in error["loc"])
        place = ".".join((*section, key)).replace("_", "-")
        if error["type"] == "extra_forbidden":
            meant = _meant(key, _known_keys(section))
            told = any(line.endswith(meant) for line in lines)  # a long list is read once
            lines.append(f"unknown key {place!r}{'' if told else meant}")
        else:
            said = _OUR_WORDS.get(error["type"], error["msg"].removeprefix("Value error, "))
            lines.append(f"{place}: {said}")
    where = f" in {path}" if path else ""
    return f"Settings{where}: {'. '.join(lines)}."


#: What pydantic says of its own classes, said of study.toml.
_OUR_WORDS = {
    "path_type": "a path in quotes is expected",
    "model_type": "this is a section, with keys of its own",
    "dict_type": "this is a section, with keys of its own",
}


def _meant(key: str, known: list[str]) -> str:
    near = difflib.get_close_matches(key.replace("_", "-"), known, 1)
    return f" (did you mean {near[0]!r}?)" if near else f" (known here: {', '.join(known)})"


def _known_keys(section: list[str]) -> list[str]:
    """The keys of study.toml, or those of the section in which a wrong one stands."""
    model: type[BaseModel] = Settings
    for name in section:
        inner = model.model_fields[name].annotation if name in model.model_fields else RuleChange
        model = inner if isinstance(inner, type) and issubclass(inner, BaseModel) else RuleChange
    return sorted(name.replace("_", "-") for name in model.model_fields)
