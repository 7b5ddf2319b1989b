"""A standalone Spark cluster on loopback: one master, some workers, ended by their process ids."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.request import urlopen


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Cluster:
    """Use as a context manager; `master` is its URL."""

    def __init__(self, folder: Path, workers: int) -> None:
        self._folder, self._count = folder, workers
        self._port, self._web = _free_port(), _free_port()
        self.master = f"spark://127.0.0.1:{self._port}"
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "Cluster":
        self._folder.mkdir()
        self._start("Master", "--port", str(self._port), "--webui-port", str(self._web))
        for number in range(self._count):
            room = ("--cores", "1", "--memory", "1g", "--work-dir", str(self._work(number)))
            self._start("Worker", "--webui-port", str(_free_port()), *room, self.master)
        deadline = time.monotonic() + 90
        while self._alive() < self._count:
            if time.monotonic() > deadline:
                self.__exit__()
                raise TimeoutError("the workers did not come")
            time.sleep(0.2)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait(60)

    def _work(self, number: int) -> Path:
        return self._folder / f"worker-{number}"

    def _start(self, role: str, *words: str) -> None:
        import pyspark

        home = Path(pyspark.__file__).parent
        name = f"org.apache.spark.deploy.{role.lower()}.{role}"
        log = (self._folder / f"{role}-{len(self._processes)}.log").open("wb")
        own = {"SPARK_HOME": str(home), "SPARK_LOCAL_IP": "127.0.0.1"}
        environment = os.environ | own | {"PYSPARK_PYTHON": sys.executable}
        command = [str(home / "bin" / "spark-class"), name, "--host", "127.0.0.1", *words]
        self._processes.append(
            subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        )
        log.close()

    def _alive(self) -> int:
        try:
            with urlopen(f"http://127.0.0.1:{self._web}/json/", timeout=5) as answer:
                state: dict[str, Any] = json.load(answer)
        except OSError:
            return 0
        return int(state["aliveworkers"])

    def workers_used(self) -> int:
        """On how many workers an executor of any application ran."""
        return sum(any(self._work(n).glob("app-*/*/stderr")) for n in range(self._count))
