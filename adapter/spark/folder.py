"""The folder with the results: as it was, or whole; never half of either."""

from typing import Any
from uuid import uuid4

from adapter.errors import StoreError, UsageError

SUMMARY = "summary.json"  # comes last: a folder with it is complete
_MARK = "_CART_NRM"


class Results:
    """Tables are written beside the folder, which they replace at `commit`.

    `form` is parquet or ndjson. UsageError when something is in the way that is not ours.
    """

    def __init__(self, spark: Any, path: str, form: str) -> None:
        self._path = spark._jvm.org.apache.hadoop.fs.Path
        self._form, self._tables = {"ndjson": "json"}.get(form, form), list[str]()
        self._fs = self._path(path).getFileSystem(spark._jsc.hadoopConfiguration())
        self.folder = self._fs.makeQualified(self._path(path))
        self._run = uuid4().hex[:8]
        self._work, self._old = self._beside(f"{self._run}.new"), self._beside(f"{self._run}.old")
        if self._fs.exists(self.folder) and not self._fs.exists(self._path(self.folder, _MARK)):
            raise UsageError(f"{path} holds something else.", "Name a folder that does not exist.")

    def _beside(self, ending: str) -> Any:
        return self._path(self.folder.getParent(), f".{self.folder.getName()}.{ending}")

    def __enter__(self) -> "Results":
        self._put(self._work, _MARK, b"")
        return self

    def __exit__(self, *_: object) -> None:
        self._fs.delete(self._work, True)

    def write(self, name: str, frame: Any) -> None:
        """One table: a folder of Parquet files, or of files with one JSON object a line."""
        place = self._path(self._work, name).toString()
        frame.write.format(self._form).option("ignoreNullFields", "false").save(place)
        self._tables += [f"{name}/_SUCCESS"]

    def commit(self, summary: bytes) -> None:
        """Put the new folder in place of the old one, and clear away what killed runs left."""
        if not all(self._fs.exists(self._path(self._work, n)) for n in (_MARK, *self._tables)):
            raise StoreError("Another run came to its end first.", "One run a folder at a time.")
        if self._fs.exists(self.folder):
            self._move(self.folder, self._old)
        self._move(self._work, self.folder)
        self._put(self.folder, SUMMARY, summary)
        for left in self._fs.globStatus(self._beside("????????.*")):
            self._fs.delete(left.getPath(), True)

    def _move(self, old: Any, new: Any) -> None:
        if self._fs.exists(new) or not self._fs.rename(old, new):
            raise StoreError(f"{new.toString()} cannot be put in place.", "Is another run at work?")

    def _put(self, folder: Any, name: str, content: bytes) -> None:
        out = self._fs.create(self._path(folder, name), True)
        out.write(bytearray(content))
        out.close()
