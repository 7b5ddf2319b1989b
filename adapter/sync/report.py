"""What one sync did, and what is still due."""

from typing import Literal

import msgspec

from adapter.errors import Alarm, Partial


class Due(msgspec.Struct, frozen=True):
    """A part of the plan that is not complete, why, and for how many patients."""

    type: str
    reason: str
    patients: int = 1


class SyncReport(msgspec.Struct):
    """`received`: whole resources the server sent, duplicates included; `listed`: ids and meta.

    received = stored + unchanged + the sum of left_out; `account_holds` says so.
    """

    run: int = 0
    received: int = 0
    stored: int = 0
    unchanged: int = 0
    deleted: int = 0
    rejected: int = 0
    listed: int = 0
    requests: int = 0
    recipients: int = 0
    seconds: float = 0.0
    slices: int = 0
    slices_due: int = 0
    due: list[Due] = []
    alarms: list[str] = []
    notes: list[str] = []
    left_out: dict[str, int] = {}
    state: Literal["running", "complete", "partial", "alarm", "failed"] = "running"

    @property
    def exit_code(self) -> int:
        """0 complete, 20 partial, 21 alarm."""
        return {"complete": 0, "alarm": Alarm.exit_code}.get(self.state, Partial.exit_code)

    @property
    def account_holds(self) -> bool:
        """Every row that came is accounted for."""
        kept = self.stored + self.unchanged
        return self.received == kept + sum(self.left_out.values())

    def note(self, text: str) -> None:
        """Remember a remark once."""
        if text not in self.notes:
            self.notes.append(text)

    def raise_if_incomplete(self) -> None:
        """Turn an alarm or a partial night into its error, for callers that want one."""
        if self.state == "alarm":
            raise Alarm(
                " ".join(self.alarms),
                "Nothing of it was removed. If it is right, run the sync once with "
                "--accept-vanished."
                if self.account_holds
                else "Nothing is called complete. A fault of the program: please report it.",
            )
        if self.state == "partial":
            what = "; ".join(f"{due.type} ({due.patients}): {due.reason}" for due in self.due[:5])
            raise Partial(
                f"{self.slices_due} of {self.slices} parts of the plan are not complete: {what}",
                "What came is kept; the next sync asks for the rest.",
            )
