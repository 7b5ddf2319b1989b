"""Grades of toxicity as computed: CRS, ICANS, ICAHT, and the scores before infusion."""

import htpy as h

from adapter.report.sections.causes import bars
from adapter.report.view import Section, View, grid, key, share

NAMES = {
    "crs_grade": "CRS",
    "icans_grade": "ICANS",
    "icaht_early": "ICAHT, early",
    "icaht_late": "ICAHT, late",
    "t_icaht_early": "T-ICAHT, early",
    "t_icaht_late": "T-ICAHT, late",
}


def toxicity(view: View) -> Section:
    """The worst grade of each kind; *not known* is shown, never taken for grade 0."""
    heading = "Toxicity grades"
    known = [n for n in NAMES if any(j.grades.get(n) is not None for j in view.judged)]
    if not known:
        return Section("toxicity", heading, h.p["No grade could be computed from this source."])
    levels = sorted({int(v) for n in known for j in view.judged
                     if (v := j.grades.get(n)) is not None})  # fmt: skip
    rows, shades = [], []
    for name in known:
        values = [j.grades.get(name) for j in view.judged]
        counts = [sum(v == level for v in values) for level in levels]
        missing = sum(v is None for v in values)
        rows.append([NAMES[name], *(share(n, len(values)) for n in (*counts, missing))])
        severe = [sum(n for level, n in zip(levels, counts, strict=True) if low <= level <= high)
                  for low, high in ((3, 99), (1, 2), (0, 0))]  # fmt: skip
        shades.append((NAMES[name], [*severe, missing]))
    head = ["", *(f"{level}" for level in levels), "not known"]
    title = "Worst grade by kind of toxicity"
    note = [key("s0", "grade 3 or more (number)"), key("s1", "1 or 2"), key("s2", "none"),
            key("s3", "cannot be told")]  # fmt: skip
    figure = view.figure(
        title, lambda name: bars(name, title, shades, None), note, grid(head, rows)
    )
    return Section("toxicity", heading, figure)
