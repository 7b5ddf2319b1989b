"""What kind of hospital to invent."""

from dataclasses import dataclass
from datetime import date

END_OF_DATA = date(2026, 6, 30)  # nothing is recorded after this day, except planned visits


@dataclass(frozen=True, slots=True)
class StudyShape:
    """The arguments of a synthetic study; the same shape always gives the same bytes."""

    patients: int = 1500
    recipients: int = 1000
    seed: int = 7
    dialect: str = "mixed"  # or us, oracle, german
    deaths: int | None = None  # exact number of non-relapse deaths; None: published rates
    missing: str = "some"  # how much evidence of causes was lost: none, some, much
    labs: str = "daily"  # in the first month; or weekly, for very large studies

    def __post_init__(self) -> None:
        if not 0 <= self.recipients <= self.patients:
            raise ValueError("recipients must lie between 0 and patients")
        if self.deaths is not None and not 0 <= self.deaths <= self.recipients:
            raise ValueError("deaths must lie between 0 and recipients")
        if self.dialect not in ("mixed", "us", "oracle", "german"):
            raise ValueError("dialect must be mixed, us, oracle or german")
        if self.missing not in ("none", "some", "much"):
            raise ValueError("missing must be none, some or much")
        if self.labs not in ("daily", "weekly"):
            raise ValueError("labs must be daily or weekly")
