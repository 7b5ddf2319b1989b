# demo, test, check and bench each work from nothing: Python 3.11+ and make are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PEERS := .venv-peers
SPARK := .venv-spark
RESULTS := benchmarks/results
INPUTS := 1000000
OUT ?= demo
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test check campaign bench peers spark performance oracle docs lock sbom audit fuzz examples clean

demo: $(VENV)/runtime.done  ## synthetic server on loopback, sync, classify, export, report
	$(BIN)/python cli.py demo $(OUT)

test: $(VENV)/dev.done  ## the whole suite
	$(BIN)/python -m pytest -n 2 --dist loadgroup

check: $(VENV)/dev.done  ## lint, types, layers, security, docs: the same for you, pre-commit and CI
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bandit -q -ll -c pyproject.toml -r adapter cli.py
	$(BIN)/python cli.py mappings lint
	$(BIN)/python -m tests.docs_are_current

campaign: $(VENV)/dev.done  ## every fault against `nightly`: 200 kills, disks, clocks, servers, damage
	$(BIN)/python -m tests.nightly.campaign

docs: $(VENV)/dev.done  ## write again the pages that are generated from the code
	$(BIN)/python -m tests.docs_are_current --write

bench: $(VENV)/dev.done  ## ratios against a bare JSON decoder, in the same run
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.estimator
	$(BIN)/python -m benchmarks.pull

peers: $(PEERS)/peers.done  ## the tools that we compare ourselves with, in an environment of their own

spark: $(SPARK)/spark.done  ## the same rows on Spark: one process, and a cluster on loopback (needs Java)
	$(SPARK)/bin/python -m pytest tests/spark

performance: $(VENV)/dev.done $(PEERS)/peers.done  ## measure all, and write docs/performance.md again
	$(BIN)/python -m benchmarks --patients 1000 10000 100000 --keep $(RESULTS)/stages.json
	$(BIN)/python -m benchmarks.peers --keep $(RESULTS)/peers.json
	$(BIN)/python -m benchmarks.estimator > $(RESULTS)/estimator.txt
	$(BIN)/python -m benchmarks.pull > $(RESULTS)/pull.txt
	$(BIN)/python -m benchmarks.page

lock: $(VENV)/dev.done  ## resolve again and pin with hashes (needs `uv`)
	uv pip compile pyproject.toml -q --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header -o requirements/runtime.txt
	uv pip compile pyproject.toml -q --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --group dev --extra parquet -o requirements/dev.txt
	uv pip compile pyproject.toml -q --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --group spark --extra spark -o requirements/spark.txt
	uv pip compile requirements/peers.in -q --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header -o requirements/peers.txt
	echo hatchling | uv pip compile - -q -c requirements/dev.txt --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header -o requirements/build.txt
	uv pip compile requirements/nightly.in -q --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header -o requirements/nightly.txt

sbom: $(VENV)/dev.done  ## what is locked for run time, as CycloneDX: dist/sbom.cdx.json
	mkdir -p dist
	$(BIN)/python -W ignore -m cyclonedx_py requirements requirements/runtime.txt \
	  --pyproject pyproject.toml --of JSON --output-reproducible -o dist/sbom.cdx.json

fuzz: $(VENV)/nightly.done  ## a million odd inputs of every kind: no crash, nothing lost, nothing told
	$(BIN)/python -m tests.nightly.fuzz --inputs $(INPUTS)

examples: $(VENV)/nightly.done  ## examples/nightly against systemd, the schemas of Kubernetes, a cron parser
	$(BIN)/python -m pytest -rs tests/nightly/test_examples.py

audit: $(VENV)/dev.done  ## known weaknesses of what is locked, where the advisory service answers
	$(BIN)/python -m tests.audit

clean:
	rm -rf $(VENV) $(PEERS) $(SPARK) $(OUT) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "cart-nrm needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/runtime.done: requirements/runtime.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install -q --require-hashes -r requirements/runtime.txt
	touch $@

$(VENV)/dev.done: requirements/dev.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install -q --require-hashes -r requirements/dev.txt
	touch $@ $(VENV)/runtime.done

$(VENV)/nightly.done: requirements/nightly.txt $(VENV)/dev.done
	$(BIN)/python -m pip install -q --require-hashes -r requirements/nightly.txt
	touch $@

$(PEERS)/peers.done: requirements/peers.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install -q --require-hashes -r requirements/peers.txt
	touch $@

$(SPARK)/spark.done: requirements/spark.txt
	$(PYTHON) -m venv $(SPARK)
	$(SPARK)/bin/python -m pip install -q --require-hashes -r requirements/spark.txt
	touch $@
