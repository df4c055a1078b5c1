# What each target runs also stands in README.md ("Without make").
# The first Python of a version that TensorFlow has packages for. Another one: make PYTHON=/path/to/python test
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
  $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && exit; \
  done; echo python3)
VENV := .venv
PEOPLE := data/generated/people/manifest.csv
BENCH := artifacts/full/bench/manifest.csv
BIN := $(VENV)/bin

.PHONY: workshop test lab lint format book screenshots bench ablation lock clean help
.DEFAULT_GOAL := help

help:  ## shows this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

workshop: $(VENV)/.installed  ## sets up, makes the data, runs notebooks 01 to 04 in full, prints the scores
	$(BIN)/python -m helpers.workshop.environment --quiet
	$(BIN)/python -m helpers.workshop $(ARGS)

test: lint  ## sets up, lints, runs the unit tests, then every notebook in fast mode
	$(BIN)/pytest -n 2 --nbval-lax --nbval-current-env --nbval-cell-timeout=600 tests notebooks

lab: $(VENV)/.installed  ## sets up, opens JupyterLab on the notebooks
	$(BIN)/jupyter lab notebooks/00_start_here.ipynb

lint: $(VENV)/.installed  ## checks form and style of code and notebooks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.installed  ## mends what lint finds, where it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

book: $(VENV)/.installed  ## builds the book, with the outputs of the notebooks that make workshop ran
	$(BIN)/python -m docs.book

screenshots: $(VENV)/.installed  ## runs 01 to 04 in JupyterLab, renews images/
	$(BIN)/python -m tests.jupyterlab --screenshots
	$(BIN)/python -c "from PIL import Image; Image.open('artifacts/full/pictures/probabilities.png') \
	    .convert('RGB').quantize(256).save('images/probabilities.png', optimize=True)"

bench: $(VENV)/.installed  ## measures each part beside its peer or limit, in minutes; writes a page
	test -f $(PEOPLE) || $(BIN)/python -m data.generate.people --out $(dir $(PEOPLE))
	test -f $(BENCH) || $(BIN)/python -m helpers.manifest $(PEOPLE) --no-images --split 0.7,0.15,0.15 --out $(BENCH)
	$(BIN)/python -m benchmarks speed --manifest $(BENCH) $(ARGS)

ablation: $(VENV)/.installed  ## trains a recipe and each idea with three seeds, for hours; says what helps
	test -f $(PEOPLE) || $(BIN)/python -m data.generate.people --out $(dir $(PEOPLE))
	test -f $(BENCH) || $(BIN)/python -m helpers.manifest $(PEOPLE) --no-images --split 0.7,0.15,0.15 --out $(BENCH)
	$(BIN)/python -m benchmarks ablation --manifest $(BENCH) $(or $(ARGS),--minutes 2)

lock:  ## renews requirements.lock: the newest versions, for each Python and system
	rm -rf build/lock && $(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet uv  # pip itself was still searching after ten minutes
	{ echo "# The exact versions that CI installs: everything that requirements.txt leads to."; \
	  echo "# Made again with: make lock"; \
	  printf 'setuptools<82\nwheel\n' | build/lock/bin/uv pip compile --quiet --universal --python-version 3.11 \
	    --no-header --no-annotate requirements.txt -; } > build/requirements.lock
	mv build/requirements.lock requirements.lock && rm -rf build/lock

clean:  ## removes what commands made; keeps .venv
	rm -rf artifacts data/generated build .pytest_cache .ruff_cache *.egg-info
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -exec rm -rf {} +

# The stamp is younger than the three files as long as nothing has to be installed.
$(VENV)/.installed: requirements.txt requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else \
	  "error: the workshop needs Python 3.11, 3.12 or 3.13; %s is %d.%d. Name another one: make PYTHON=python3.11 ..." \
	  % (sys.executable, *v))'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
	  { echo "error: no virtual environment. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 2; }
	$(BIN)/python -m pip install --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
