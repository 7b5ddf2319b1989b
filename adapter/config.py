"""study.toml and the command line become one checked object; an unknown key is an error.

Keys are the long options without dashes (``site-mappings`` or ``site_mappings``). Secrets are never
written here: a setting names the file or the environment variable that holds them.
"""

import os
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from adapter.errors import ConfigError

Consequence = Literal["ignore", "censor", "relapse"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Policy(_Section):
    """How the study decides; every default is written down in docs/decisions/."""

    course_gap_days: int = Field(default=21, ge=0)
    """Infusions of one product this close are one course (convention; obe-cel days 1 and 10)."""
    next_therapy: Consequence = "ignore"
    """Anticancer therapy without recorded progression; always sent to review."""
    later_hct: Consequence = "ignore"
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
    lost_after_days: int = Field(default=365, ge=1)
    """Alive and silent for longer than this before the data cut counts as lost to follow-up."""

    iec_hs_ferritin: float = Field(default=10_000.0, gt=0)
    """ng/mL; Hines et al. 2023 say > 2x upper normal or baseline (GK), which sepsis meets too; this
    convention is the level at which hyperinflammation is usually suspected."""
    iec_hs_transaminase: float = Field(default=200.0, gt=0)
    """U/L of AST or ALT: 5x an upper normal of 40 (clinical.md §3.5, GK)."""
    iec_hs_fibrinogen: float = Field(default=150.0, gt=0)
    """mg/dL (clinical.md §3.5, GK)."""
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
    key_id: str = ""
    algorithm: Literal["RS384", "ES384"] = "RS384"
    token_url: str = ""
    scope: str = ""


class Connection(_Section):
    """How the server is spoken to."""

    quirks: str = ""
    """Name of a quirk file (`plain`, `hapi`, `epic`, `oracle`, `medplum`) or a path to one."""
    page_size: int = Field(default=200, ge=1, le=10_000)
    parallel: int = Field(default=4, ge=1, le=32)
    timeout_seconds: float = Field(default=60.0, gt=0)
    retries: int = Field(default=5, ge=0)
    longest_wait_seconds: float = Field(default=300.0, ge=0)
    overlap_seconds: int = Field(default=300, ge=0)
    full_compare_days: int = Field(default=7, ge=1)
    vanish_brake_percent: float = Field(default=20.0, ge=0, le=100)
    ca_file: Path | None = None
    proxy: str = ""
    bulk_hosts: tuple[str, ...] = ()
    find: Literal["auto", "procedures", "medications", "group", "patients", "all"] = "auto"
    group: str = ""
    patients: Path | None = None
    mode: Literal["search", "bulk"] = "search"


class Settings(_Section):
    """Everything study.toml may say."""

    store: Path = Path("cart-nrm.db")
    server: str = ""
    site_mappings: Path | None = None
    include_unverified: bool = False
    timezone: str = ""
    """IANA name: instants with an offset are moved to this site's calendar day."""
    study_name: str = "CAR T cohort"
    auth: Auth = Auth()
    connection: Connection = Connection()
    policy: Policy = Policy()
    rules: dict[str, RuleChange] = {}

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        from zoneinfo import ZoneInfo

        if value:
            ZoneInfo(value)
        return value


def read_settings(path: Path | None, overrides: dict[str, Any] | None = None) -> Settings:
    """study.toml with the command line's options over it; paths in the file are relative to it."""
    values: dict[str, Any] = {}
    if path is not None:
        values = _underscored(_toml(path))
        for key in ("store", "site_mappings"):
            if key in values:
                values[key] = path.parent / Path(str(values[key])).expanduser()
    values.update({k: v for k, v in (overrides or {}).items() if v is not None})
    try:
        return Settings.model_validate(values)
    except ValidationError as problem:
        raise ConfigError(_in_words(problem, path)) from None


def secret(file: Path | None, env: str) -> str:
    """The secret held by a file or an environment variable."""
    if file is not None:
        try:
            return file.read_text().strip()
        except OSError as problem:
            raise ConfigError(
                f"The secret file {file} cannot be read: {problem.strerror}."
            ) from None
    if env and os.environ.get(env):
        return os.environ[env]
    raise ConfigError("No secret is set.", "Name it with auth.secret-file or auth.secret-env.")


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise ConfigError(f"{path} cannot be read: {problem.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise ConfigError(f"{path} is not TOML: {problem}.") from None


def _underscored(values: dict[str, Any]) -> dict[str, Any]:
    """site-mappings and site_mappings are the same key; rule names are kept as written."""
    return {
        key.replace("-", "_"): _underscored(value)
        if isinstance(value, dict) and key != "rules"
        else value
        for key, value in values.items()
    }


def _in_words(problem: ValidationError, path: Path | None) -> str:
    known = ", ".join(sorted(name.replace("_", "-") for name in Settings.model_fields))
    lines = []
    for error in problem.errors():
        place = ".".join(str(part) for part in error["loc"])
        if error["type"] == "extra_forbidden":
            lines.append(f"unknown key {place!r}")
        else:
            lines.append(f"{place}: {error['msg']}")
    where = f" in {path}" if path else ""
    return f"Settings{where}: {'; '.join(lines)}. Known keys: {known}."
