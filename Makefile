# `make demo` and `make test` need Python >= 3.11 and nothing else; everything goes into .venv.
# uv is used where it is present, else venv and pip. `make test WORKERS=8` uses more processes.

VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 2
PYTHON ?=

.PHONY: help demo test test-slow lint docs bench check clean
.NOTPARALLEL:

help:
	@echo "make demo   seven ways of assigning credit on images of digits (two minutes)"
	@echo "make test   the tests"
	@echo "make test-slow  the same with those that take minutes, and shapes and types checked in every call"
	@echo "make lint   ruff and pyright"
	@echo "make docs   the documentation, in docs/_build/html"
	@echo "make bench  speed on this machine"
	@echo "make check  tests, lint and docs, as continuous integration runs them"
	@echo "make clean  remove .venv and what the tools left; runs/ stays"

demo: $(VENV)/.with-cli
	$(BIN)/metaplastic reproduce pepita --scale quick

test: $(VENV)/.with-test
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal

test-slow: $(VENV)/.with-test
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal --slow \
		--jaxtyping-packages=metaplastic,beartype.beartype

lint: $(VENV)/.with-test $(VENV)/.with-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

docs: $(VENV)/.with-docs
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html
	@echo "open docs/_build/html/index.html"

bench: $(VENV)/.with-cli $(VENV)/.with-bench
	$(BIN)/metaplastic bench

check: test lint docs

clean:
	rm -rf $(VENV) docs/_build docs/generated .pytest_cache .ruff_cache .hypothesis build dist

# One stamp an extra: installed once for every change of pyproject.toml.
$(VENV)/.with-%: pyproject.toml $(VENV)/.made
	@echo "installing metaplastic[$*] into $(VENV) (about a minute the first time)"
	@if command -v uv >/dev/null 2>&1; then \
		uv pip install --quiet --python $(BIN)/python --editable '.[$*]'; \
	else \
		$(BIN)/python -m pip install -qq --disable-pip-version-check --editable '.[$*]'; \
	fi
	@touch $@

$(VENV)/.made:
	@if command -v uv >/dev/null 2>&1; then \
		uv venv --quiet --clear --python '$(or $(PYTHON),>=3.11)' $(VENV) && touch $@; exit; \
	fi; \
	for python in $(or $(PYTHON),python3.11 python3 python3.12 python3.13 python3.14); do \
		"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
		echo "making $(VENV) with $$("$$python" --version)"; \
		"$$python" -m venv --clear $(VENV) && touch $@ && exit; \
		echo "$$python cannot make $(VENV): install its venv module (python3-venv)" >&2; exit 1; \
	done; \
	echo "Python 3.11 or newer is needed and none was found: install one, or name it with \`make PYTHON=/path/to/python3.11\`" >&2; \
	exit 1
