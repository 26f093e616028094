# The venv of the project: every target installs what it needs into it. Another one, LOWEST, has every
# dependency at its lower bound;
# a third, RLLIB, what is too large or too strict about versions for the first; TRIED is a release's.
PYTHON ?= python3
VENV ?= .venv
LOWEST ?= .venv-lowest
RLLIB ?= .venv-rllib
TRIED ?= .venv-release
BIN := $(VENV)/bin
INSTALL := -m pip install --quiet --disable-pip-version-check
PIP := $(BIN)/python $(INSTALL) -c constraints.txt

.PHONY: demo setup test test-slow test-attack test-lowest test-rllib gpu lint bench docs site study data release clean

demo: $(VENV)/.demo
	$(BIN)/python examples/compare_agents.py

# From then on git checks commits with what `make lint` runs (.pre-commit-config.yaml).
setup: $(VENV)/.dev
	$(PIP) pre-commit
	$(BIN)/pre-commit install

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist loadfile $(PYTEST_ARGS)

test-slow: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist loadfile -m 'slow and not attack' $(PYTEST_ARGS)

# Hundreds of hostile files and values, kills and full disks: a quarter of an hour.
test-attack: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 -m attack tests/attack $(PYTEST_ARGS)

test-lowest: $(LOWEST)/.dev
	$(LOWEST)/bin/python -m pytest -n 2 --dist loadfile $(PYTEST_ARGS)

test-rllib: $(RLLIB)/.dev
	$(RLLIB)/bin/python -m pytest -m 'slow or not slow' tests/test_examples.py tests/test_libraries.py \
		-k 'rllib or rl_zoo or librar' $(PYTEST_ARGS)

# Proves every GPU path and measures it, into results/gpu; without a GPU in miniature, on the CPU.
gpu: $(VENV)/.dev
	$(BIN)/python scripts/gpu_check.py $(GPU_ARGS)

# mypy reads the installed wheel: it cannot follow an editable install's folder mapping.
lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/python scripts/type_check.py

bench: $(VENV)/.dev
	for script in benchmarks/*.py; do $(BIN)/python $$script || exit 1; done

docs: $(VENV)/.dev
	$(BIN)/python scripts/document_environments.py

# The documentation as a site, in build/site/html; no network is used, and every link is followed.
site: $(VENV)/.dev
	$(BIN)/python scripts/build_site.py

# The README's picture and headline table.
study: $(VENV)/.dev
	$(BIN)/nats-gym study studies/nats-bench.toml --out results/nats-bench
	$(BIN)/nats-gym report results/nats-bench
	$(BIN)/python scripts/document_study.py results/nats-bench

# Needs the figures to fit to: make data FIGURES=<folder>
data: $(VENV)/.dev
	$(BIN)/python scripts/fit_surrogates.py --figures $(FIGURES)
	$(BIN)/python scripts/fit_nasbench101.py --figures $(FIGURES)
	$(BIN)/python scripts/fit_devices.py --figures $(FIGURES)
	$(BIN)/python scripts/build_embedded.py

# Wheel and sdist in dist/, the wheel tried in a venv that has nothing else, from an empty folder.
# What an earlier build left in egg-info would get into the sdist; build/site is `make site`'s.
# Setuptools warns at length of folders of data, which are packed as they should be.
release: $(VENV)/.dev
	$(BIN)/python scripts/check_sdist.py
	rm -rf dist build/lib build/bdist.* nats_gym.egg-info $(TRIED)
	PYTHONWARNINGS=ignore $(BIN)/python -m build --quiet
	$(BIN)/twine check --strict dist/*
	$(BIN)/python scripts/check_sdist.py dist/*.tar.gz
	$(PYTHON) -m venv $(TRIED)
	$(TRIED)/bin/python $(INSTALL) -c constraints.txt dist/*.whl
	mkdir $(TRIED)/empty && cd $(TRIED)/empty && ../bin/python -I $(CURDIR)/scripts/smoke_test.py
	@echo "The release is made and works: $$(echo dist/*), installed and tried in $(TRIED)."

clean:
	rm -rf $(VENV) $(LOWEST) $(RLLIB) $(TRIED) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache results

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) -e .
	@touch $@

$(VENV)/.dev: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) -e '.[dev,docs]'
	@touch $@ $(VENV)/.demo

$(LOWEST)/.dev: pyproject.toml constraints-lowest.txt
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python $(INSTALL) -c constraints-lowest.txt -e '.[dev]'
	@touch $@

# Not editable: the checkout that lies around the tests must work all the same.
$(RLLIB)/.dev: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(RLLIB)
	$(RLLIB)/bin/python $(INSTALL) -c constraints.txt '.[maskable,torchrl]' 'ray[rllib]' rl_zoo3 skrl pytest
	@touch $@
