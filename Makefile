# The four commands of CONTRIBUTING.md, and CI's whole run. They use the Python that is active: `make PYTHON=python3.12`.
PYTHON ?= python3

.PHONY: lint types test slow ci

lint:
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .

types:
	$(PYTHON) -m mypy --strict realtime_sync examples

test:
	$(PYTHON) -m pytest

slow:
	$(PYTHON) -m pytest -m slow -n 0

ci:
	PYTHON=$(PYTHON) .ci/run
