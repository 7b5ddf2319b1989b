"""What every grade and score answers: a value, or why there is none."""

import msgspec


class Score(msgspec.Struct, frozen=True):
    """A grade or score; `value` None means *cannot tell*, and `why` says what is missing."""

    value: float | int | None
    why: str = ""
