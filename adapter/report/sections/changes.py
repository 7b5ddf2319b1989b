"""What is new since the previous report."""

import htpy as h

from adapter.report.view import Section, View, safe, tally


def changes(view: View) -> Section | None:
    """Left out when there is nothing to compare with."""
    if view.changes is None:
        return None
    heading = f"What changed since {view.changes.since}"
    found = view.changes.changes
    if not found:
        return Section("changes", heading, h.p["Nothing changed."])
    counts = "; ".join(f"{kind}: {count}" for kind, count in tally(c.kind for c in found).items())
    rows = [[view.names[c.patient], c.kind, h.span[safe(c.text)]] for c in found]
    table = view.table("Changes, patient by patient", ["Patient", "What", "Why"], rows)
    return Section("changes", heading, [h.p[f"{counts}."], table])
