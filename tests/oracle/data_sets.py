"""Tables on which our numbers are compared with R: synthetic, each with one difficulty."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
COLUMNS = "id,time,event,entry,group,strata,x1,x2"


@dataclass(frozen=True)
class DataSet:
    """One table: arrays of length n."""

    time: Floats
    event: NDArray[np.int64]
    entry: Floats
    group: NDArray[np.str_]
    strata: NDArray[np.str_]
    x: Floats  # (n, 2)

    def as_csv(self) -> str:
        """The table as CSV with every digit."""
        columns = (self.time, self.event, self.entry, self.group, self.strata, *self.x.T)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        lines = [f"{i},{','.join(map(str, row))}" for i, row in enumerate(rows, start=1)]
        return "\n".join([COLUMNS, *lines]) + "\n"


def simulated(seed: int, n: int, causes: int = 2, groups: int = 3) -> DataSet:
    """Continuous times, exponential causes whose rates depend on group and covariates."""
    rng = np.random.default_rng(seed)
    group = rng.integers(0, groups, n)
    x = np.column_stack([rng.normal(size=n), rng.integers(0, 2, n)]).astype(float)
    rate = np.array([1.0, 0.5, 0.3, 0.2])[:causes] * np.exp(
        0.3 * group[:, None] * np.array([1, -0.5, 0.2, 0.1])[:causes] + 0.4 * x[:, :1]
    )
    latent = rng.exponential(1 / rate)
    censoring = rng.exponential(0.8, n) + 0.02
    time = np.minimum(latent.min(axis=1), censoring) * 400
    event = np.where(latent.min(axis=1) <= censoring, latent.argmin(axis=1) + 1, 0)
    names = np.array(["A", "B", "C", "D"])
    strata = np.array(["s1", "s2"])[rng.integers(0, 2, n)]
    return DataSet(time, event, np.zeros(n), names[group], strata, x)


def in_months(data: DataSet) -> DataSet:
    """Heavy ties: whole months, censorings and events on the same time."""
    return replace(data, time=np.ceil(data.time / 60.0))


def in_days(data: DataSet) -> DataSet:
    """Whole days, some of them day 0."""
    return replace(data, time=np.floor(data.time))


def entered_late(data: DataSet, seed: int) -> DataSet:
    """Half of the patients come under observation after the origin, before they leave."""
    rng = np.random.default_rng(seed)
    time = np.floor(data.time) + 1
    share = np.where(rng.random(len(time)) < 0.5, rng.random(len(time)) * 0.7, 0.0)
    return replace(data, time=time, entry=np.floor(time * share))


def nearly_equal(data: DataSet, seed: int) -> DataSet:
    """Tied times that differ in the last digits, as after dividing by 30.4375 and back."""
    rng = np.random.default_rng(seed)
    time = np.ceil(data.time / 20.0) / 30.4375
    return replace(data, time=time * (1 + rng.uniform(-1e-14, 1e-14, len(time))))


def without(data: DataSet, cause: int, group: str) -> DataSet:
    """A cause that never happens in one group: censored there instead."""
    gone = (data.event == cause) & (data.group == group)
    return replace(data, event=np.where(gone, 0, data.event))


def head(data: DataSet, n: int) -> DataSet:
    """The first n patients."""
    parts = (data.time, data.event, data.entry, data.group, data.strata, data.x)
    return DataSet(*(part[:n] for part in parts))  # type: ignore[arg-type]


def fully_followed(data: DataSet) -> DataSet:
    """Nobody censored: survival reaches 0."""
    return replace(data, event=np.where(data.event == 0, 2, data.event))


DATA_SETS: dict[str, DataSet] = {
    "continuous": simulated(1, 300),
    "months, heavy ties": in_months(simulated(2, 900)),
    "days": in_days(simulated(3, 1500, groups=4)),
    "three causes": in_days(simulated(4, 500, causes=3)),
    "late entry": entered_late(simulated(5, 600), 50),
    "nearly equal times": nearly_equal(simulated(6, 400), 60),
    "absent cause": without(in_days(simulated(7, 250)), 2, "B"),
    "nobody censored": fully_followed(in_months(simulated(8, 120))),
    "35 patients": in_months(simulated(9, 35, groups=2)),
    "one patient": replace(head(in_days(simulated(10, 5)), 1), event=np.array([2])),
    "all censored": replace(head(in_days(simulated(11, 20)), 20), event=np.zeros(20, np.int64)),
}
