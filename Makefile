# The commands of CONTRIBUTING.md, and CI's whole run. They use the Python that is active: `make PYTHON=python3.12`.
PYTHON ?= python3

.PHONY: lint types test medium slow docs ci

lint:
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .

types:
	$(PYTHON) -m mypy --strict realtime_sync examples

test:
	$(PYTHON) -m pytest

medium:
	$(PYTHON) -m pytest -m "medium and not slow"

slow:
	$(PYTHON) -m pytest -m slow -n 0

docs: # build/docs/index.html, and the man page build/man/realtime-sync.1
	$(PYTHON) -m sphinx -W --keep-going -b html docs build/docs
	$(PYTHON) -m sphinx -q -b man docs build/man

ci:
	PYTHON=$(PYTHON) .ci/run
