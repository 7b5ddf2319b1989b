"""Grades of toxicity as computed: CRS, ICANS, ICAHT, and the scores before infusion."""

import htpy as h

from adapter.export.columns import GRADES
from adapter.report.sections.causes import bars
from adapter.report.view import Section, View, grid, share


def toxicity(view: View) -> Section:
    """The worst grade of each kind; *not known* is shown, never taken for grade 0."""
    heading = "Toxicity grades"
    names = [name for name, (kind, *_) in GRADES.items() if kind == "integer"]
    known = [n for n in names if any(j.grades.get(n) is not None for j in view.judged)]
    if not known:
        return Section("toxicity", heading, h.p["No grade could be computed from this source."])
    levels = sorted({int(v) for n in known for j in view.judged
                     if (v := j.grades.get(n)) is not None})  # fmt: skip
    rows, shades = [], []
    for name in known:
        values = [j.grades.get(name) for j in view.judged]
        counts = [sum(v == level for v in values) for level in levels]
        missing = sum(v is None for v in values)
        title = name.replace("_", " ").upper().replace("CAR HEMATOTOX", "CAR-HEMATOTOX")
        title = title.replace(" GRADE", "").replace("EARLY", "early").replace("LATE", "late")
        rows.append([title, *(share(n, len(values)) for n in counts), share(missing, len(values))])
        severe = [sum(n for level, n in zip(levels, counts, strict=True) if low <= level <= high)
                  for low, high in ((3, 99), (1, 2), (0, 0))]  # fmt: skip
        shades.append((title, [*severe, missing]))
    head = ["", *(f"{level}" for level in levels), "not known"]
    title = "Worst grade by kind of toxicity"
    note = "Dark: grade 3 or more; middle: 1 or 2; light: 0; grey: cannot be told."
    figure = view.figure(
        title, lambda name: bars(name, title, shades, 0), note, grid(head, rows)
    )
    return Section("toxicity", heading, figure)
