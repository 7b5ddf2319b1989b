"""Write a synthetic study: python -m examples.synthetic OUT --patients 1500 --recipients 1000."""

import argparse
from pathlib import Path

from .shape import StudyShape
from .study import generate
from .tables import against_published
from .writer import write


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line, write the study, print what was made."""
    parser = argparse.ArgumentParser(prog="python -m examples.synthetic", description=__doc__)
    parser.add_argument("out", type=Path, help="folder: OUT/fhir/*.ndjson and OUT/truth.csv")
    parser.add_argument("--patients", type=int, default=1500)
    parser.add_argument("--recipients", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--dialect", default="mixed", choices=["mixed", "us", "oracle", "german"])
    parser.add_argument("--deaths", type=int, help="exact number of non-relapse deaths")
    parser.add_argument("--missing", default="some", choices=["none", "some", "much"])
    parser.add_argument("--labs", default="daily", choices=["daily", "weekly"])
    parser.add_argument("--gzip", action="store_true")
    parser.add_argument("--validate-all", action="store_true", help="validate every resource")
    options = vars(parser.parse_args(arguments))
    out, compress, every = (options.pop(key) for key in ("out", "gzip", "validate_all"))
    try:
        study = generate(StudyShape(**options))
    except ValueError as error:
        parser.error(str(error))
    counts = write(study, out, compress, every)
    print(f"Synthetic data, no real person: {sum(counts.values()):,} resources in {out / 'fhir'}")
    print("  " + ", ".join(f"{kind} {count:,}" for kind, count in sorted(counts.items())))
    print(against_published(study.truth))


if __name__ == "__main__":
    main()
