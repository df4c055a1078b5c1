# What each target runs also stands in README.md ("Without make").
# The first Python of a version that TensorFlow has packages for. Another one: make PYTHON=/path/to/python test
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
  $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && exit; \
  done; echo python3)
VENV := .venv
PEOPLE := data/generated/people/manifest.csv
BENCH := artifacts/full/bench/manifest.csv
BIN := $(VENV)/bin
# Exact versions. The lowest that work: make LOCK=requirements/lowest.lock VENV=.venv-lowest test
LOCK ?= requirements.lock
UV := $(BIN)/uv pip install --quiet --python $(BIN)/python --constraint $(LOCK)

.PHONY: install install-all workshop test lab lint format book screenshots bench ablation lock clean help
.DEFAULT_GOAL := help

help:  ## shows this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(VENV)/.installed  ## installs what notebooks 00 to 06 and 09 need, into .venv

install-all: $(VENV)/.installed-all  ## also what 07 and 08, 10 to 12 and the tests need

workshop: $(VENV)/.installed  ## sets up, makes the data, runs notebooks 01 to 04 in full, prints the scores
	$(BIN)/python -m helpers.workshop.environment --quiet
	$(BIN)/python -m helpers.workshop $(ARGS)

test: lint  ## sets up, lints, runs the unit tests, then every notebook in fast mode
	$(BIN)/pytest -n 2 --nbval-lax --nbval-current-env --nbval-cell-timeout=600 tests notebooks

lab: $(VENV)/.installed  ## sets up, opens JupyterLab on the notebooks
	$(BIN)/jupyter lab --LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb $(ARGS)

lint: $(VENV)/.installed-all  ## checks form and style of code and notebooks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.installed-all  ## mends what lint finds, where it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

book: $(VENV)/.installed-all  ## builds the book, with the outputs of the notebooks that make workshop ran
	$(BIN)/python -m docs.book

screenshots: $(VENV)/.installed-all  ## runs 01 to 04 in JupyterLab, renews images/
	$(BIN)/python -m tests.jupyterlab --screenshots
	$(BIN)/python -c "from PIL import Image; Image.open('artifacts/full/pictures/probabilities.png') \
	    .convert('RGB').quantize(256).save('images/probabilities.png', optimize=True)"

bench: $(VENV)/.installed-all  ## measures each part beside its peer or limit, in minutes; writes a page
	test -f $(PEOPLE) || $(BIN)/python -m data.generate.people --out $(dir $(PEOPLE))
	test -f $(BENCH) || $(BIN)/python -m helpers.manifest $(PEOPLE) --no-images --split 0.7,0.15,0.15 --out $(BENCH)
	$(BIN)/python -m benchmarks speed --manifest $(BENCH) $(ARGS)

ablation: $(VENV)/.installed-all  ## trains a recipe and each idea with three seeds, for hours; says what helps
	test -f $(PEOPLE) || $(BIN)/python -m data.generate.people --out $(dir $(PEOPLE))
	test -f $(BENCH) || $(BIN)/python -m helpers.manifest $(PEOPLE) --no-images --split 0.7,0.15,0.15 --out $(BENCH)
	$(BIN)/python -m benchmarks ablation --manifest $(BENCH) $(or $(ARGS),--minutes 2)

lock: $(VENV)/.installed  ## renews the locks: the newest and the lowest versions; checks those of Studio
	sh requirements/lock.sh $(BIN)/uv

clean:  ## removes what commands made; keeps .venv
	rm -rf artifacts data/generated build .pytest_cache .ruff_cache *.egg-info
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -exec rm -rf {} +

# A stamp is younger than these files as long as nothing has to be installed.
REQUIREMENTS := $(wildcard requirements/*.txt) $(LOCK) pyproject.toml

$(VENV)/.installed: $(REQUIREMENTS)
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else \
	  "error: the workshop needs Python 3.11, 3.12 or 3.13; %s is %d.%d. Name another one: make PYTHON=python3.11 ..." \
	  % (sys.executable, *v))'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
	  { echo "error: no virtual environment. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 2; }
	@echo "Installing into $(VENV); the first time, about 1 GB is downloaded ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint $(LOCK) uv
	@$(UV) --editable .
	@touch $@

$(VENV)/.installed-all: $(VENV)/.installed
	@echo "Installing the rest into $(VENV) ..."
	@$(UV) --editable ".[cloud,detection,development]"
	@touch $@
