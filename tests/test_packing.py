"""Bodies are packed where there is time for it, and come out as they went in."""

import pickle
from pathlib import Path

from adapter.envelope import Envelope, Reject, open_envelope
from adapter.packing import Parcel, Parcels
from adapter.store import Store
from examples.synthetic import StudyShape, generate
from examples.synthetic.writer import as_line

BROKEN = Reject("x.ndjson:1", "not readable as JSON", b"{")


def resources(seed: int) -> list[Envelope | Reject]:
    return [open_envelope(as_line(one)) for _, one in generate(StudyShape(5, 5, seed))]


def kept(store: Store, entries: list[Envelope | Reject]) -> int:
    """How many of them were new."""
    run = store.begin("load", "files")
    with store.transaction():
        return store.add(run, (one for one in entries if isinstance(one, Envelope))).stored


def test_packed_elsewhere_is_as_packed_here(tmp_path: Path) -> None:
    """Same bytes, same hash, so that the next run finds nothing new, whoever packs it."""
    first, news = resources(1), resources(2)
    with Store(tmp_path / "here.db") as here, Store(tmp_path / "there.db") as there:
        pack = pickle.loads(pickle.dumps(Parcels(there.path)))  # as it goes to another process
        assert [*first, BROKEN] == pack([*first, BROKEN])  # the writer trains on them first
        assert kept(here, first) == kept(there, first) > 1_000
        parcels = pack([*news, BROKEN])
        assert BROKEN == parcels[-1]
        assert {"Observation"} <= {one.type for one in parcels if isinstance(one, Parcel)}
        assert kept(here, news) == kept(there, parcels) > 0
        assert list(here.records()) == list(there.records())
        assert 0 == kept(there, news) == kept(there, pack(news))


def test_a_dictionary_that_was_taken_back_packs_nothing(tmp_path: Path) -> None:
    """What another process cannot see, because it is not kept yet, it does not use."""
    with Store(tmp_path / "cart.db") as store:
        pack, first, run = Parcels(store.path), resources(1), store.begin("load", "files")
        with store.transaction():
            store.add(run, (one for one in first if isinstance(one, Envelope)))
            assert not any(isinstance(one, Parcel) for one in pack(first))
