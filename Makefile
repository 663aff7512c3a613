# Hearing Emotion. `make` alone lists the verbs. Each prepares .venv by itself: nothing has to be installed first.
SHELL := bash
VENV ?= .venv
BIN := $(VENV)/bin
NOTEBOOKS ?= $(sort $(wildcard notebooks/*.ipynb))
# Among the oldest that pyproject.toml allows the first for Python 3.13.
COLAB_TORCH ?= 2.5.1
CHAPTERS := $(or $(CHAPTER),li2018 zhang2019 jalal2020 cai2020 zhao2021)

# A Python that was named on purpose (make book PYTHON=python3.12) replaces a .venv of another version.
ifdef PYTHON
$(shell chosen=$$($(PYTHON) -V 2>/dev/null) && [ -x $(BIN)/python ] && [ "$$chosen" != "$$($(BIN)/python -V)" ] \
  && rm -f $(VENV)/.locked)
endif
PYTHON ?= python3

# What runs stays inside this folder: no kernel, history or cache is written to your home.
export SERLIB_PROFILE ?= quick
export SERLIB_CACHE ?= $(CURDIR)/.cache/serlib
export TQDM_DISABLE := 1
export IPYTHONDIR := $(CURDIR)/.cache/ipython
export JUPYTER_CONFIG_DIR := $(CURDIR)/.cache/jupyter/config
export JUPYTER_DATA_DIR := $(CURDIR)/.cache/jupyter/data
export JUPYTER_RUNTIME_DIR := $(CURDIR)/.cache/jupyter/runtime
export JUPYTER_PREFER_ENV_PATH := 1
export MPLCONFIGDIR := $(CURDIR)/.cache/matplotlib
export PYDEVD_DISABLE_FILE_VALIDATION := 1

# Committed outputs are those of profile quick on the synthetic corpus, whatever your shell says.
AS_COMMITTED := env -u SERLIB_DATA -u SERLIB_IEMOCAP -u SERLIB_DEVICE -u SERLIB_PRECISION \
	SERLIB_CORPUS=synthetic SERLIB_PROFILE=quick
NBVAL := $(BIN)/python -m pytest -p no:cacheprovider -o filterwarnings=default \
	--nbval-lax --nbval-current-env --nbval-cell-timeout=600
# A file at a time to each core, of one thread, in their order: a last file of few, slow tests would keep one core alone.
SPREAD := -n auto --dist loadfile --no-loadscope-reorder

.PHONY: help setup book test lint export run lesson bench reference findings screen baselines again behaviour mutants memory fuzz red look colab address lock clean corpus full
.DEFAULT_GOAL := help

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

setup: $(VENV)/.ready ## make .venv, with exactly the versions of requirements.txt
	@mkdir -p .cache/ipython

# A stamp is written last, so an install that failed or was interrupted is begun again.
$(VENV)/.locked: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || { \
	  echo "Python 3.11, 3.12 or 3.13 is needed, and $(PYTHON) is $$($(PYTHON) -V 2>/dev/null || echo not there)." >&2; \
	  echo "Name one that you have, for example: make book PYTHON=python3.12" >&2; exit 1; }
	@echo "Installing the environment into $(VENV) (a few minutes, once)"
	@rm -f $(VENV)/.locked $(VENV)/.ready
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.txt
	$(BIN)/python -m pip check --disable-pip-version-check
	@touch $@

$(VENV)/.ready: $(VENV)/.locked pyproject.toml
	@rm -f $@
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

corpus: setup
	@$(AS_COMMITTED) $(BIN)/python -m serlib corpus make

full: setup
	@$(AS_COMMITTED) $(BIN)/python -m serlib corpus make --size full

book: corpus ## execute every notebook and build the book
	$(BIN)/python book/tools/build.py

test: lint corpus full ## every check: style, unit tests, the notebooks' outputs, the built book
	@[ -n "$(NOTEBOOKS)" ] || { echo "There is no notebook to check." >&2; exit 1; }
	$(AS_COMMITTED) $(BIN)/python book/tools/build.py --committed
	$(AS_COMMITTED) BUILT_BOOK=_build/committed/html OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(SPREAD) tests
	$(AS_COMMITTED) OMP_NUM_THREADS=1 $(NBVAL) $(SPREAD) $(NOTEBOOKS)

lint: setup ## ruff: lint and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

export: setup ## write serlib/papers from the notebooks' `#| export` cells, and book/twins from the pages with examples
	$(BIN)/python book/tools/export.py

run: corpus ## execute the notebooks in place (quick, synthetic), for committing them
	$(AS_COMMITTED) $(BIN)/python book/tools/run.py $(NOTEBOOKS)

lesson: setup ## train each chapter's first networks in profile lesson (an hour; SERLIB_CORPUS names one)
	$(BIN)/python book/tools/lesson.py $(filter notebooks/0%,$(NOTEBOOKS))

bench: setup ## how fast training is, against a plain loop (CHAPTER=li2018 takes one)
	@for chapter in $(CHAPTERS); do $(BIN)/python book/studies/$${chapter}_bench.py || exit; done

reference: setup ## train what the list of reference runs still holds, and keep it (days; SERLIB_DATA names the corpora)
	$(BIN)/python book/studies/reference.py $(if $(CHAPTER),--chapter $(CHAPTER))

findings: setup ## look into the trained networks again: attention and the like (CHAPTER=li2018 takes one)
	@for chapter in $(CHAPTERS); do $(BIN)/python book/studies/$${chapter}_findings.py || exit; done

screen: setup ## try one cause after another of why chapter 3's network did not learn
	@$(BIN)/python book/studies/jalal2020_screen.py

baselines: setup ## make the records of the classifiers again (minutes; SERLIB_DATA as above)
	$(BIN)/python book/studies/baselines.py $(CHAPTER)

again: setup ## before a release: train one fold of each chapter again, whole, and compare (half an hour)
	$(BIN)/python book/studies/again.py

behaviour: corpus ## does the code still compute what the records rest on? (minutes)
	@$(AS_COMMITTED) $(BIN)/python book/tools/behaviour.py

mutants: corpus ## change the code in many ways, and see which changes the fingerprints notice (minutes)
	$(AS_COMMITTED) $(BIN)/python book/tools/mutants.py

memory: setup ## how much memory the hardest inputs take (minutes; fails where one takes too much)
	@$(AS_COMMITTED) $(BIN)/python book/tools/memory.py

fuzz: setup ## read damaged files by the thousand: all must be read, or refused in a line (MINUTES=4)
	@$(AS_COMMITTED) $(BIN)/python book/tools/fuzz.py $(MINUTES)

red: setup ## run the hostile cases on the library as it was before they were mended, and count those that fail there
	@$(AS_COMMITTED) OMP_NUM_THREADS=1 $(BIN)/python book/tools/red.py

look: setup ## open every page of the built book in Chromium and take its picture
	@[ -x .cache/look/bin/python ] && .cache/look/bin/python -c 'import playwright' 2>/dev/null || { \
	  $(PYTHON) -m venv --clear .cache/look && \
	  .cache/look/bin/python -m pip install --quiet --disable-pip-version-check playwright; }
	.cache/look/bin/python book/tools/look.py

colab: ## run each notebook as Colab does: alone, its library fetched, an older torch (an environment of its own)
	@$(PYTHON) -m venv --clear .cache/colab
	.cache/colab/bin/python -m pip install --quiet --disable-pip-version-check \
	  "torch==$(COLAB_TORCH)" ipykernel nbclient nbformat pyyaml
	.cache/colab/bin/python book/tools/colab.py $(NOTEBOOKS)

address: setup ## show the repository's public address, or change it everywhere: make address URL=https://github.com/OWNER/NAME
	@$(BIN)/python book/tools/address.py $(URL)

lock: ## renew requirements.txt from pyproject.toml (UPGRADE=1: newest versions)
	@mkdir -p .cache && cp requirements.txt .cache/requirements.txt
	@[ -x .cache/lock/bin/uv ] || { $(PYTHON) -m venv --clear .cache/lock && \
	  .cache/lock/bin/python -m pip install --quiet --disable-pip-version-check uv; }
	.cache/lock/bin/uv pip compile pyproject.toml --extra open --extra cluster --group book --group test --group lock --universal \
	  --python-version 3.11 --fork-strategy fewest --no-annotate --no-header --quiet $(if $(UPGRADE),--upgrade) \
	  --output-file .cache/requirements.txt
	@{ sed '/^[^#]/,$$d' requirements.txt; grep -vE "^(nvidia|cuda|triton)|== 'emscripten'" .cache/requirements.txt \
	  | sed "s/ ; sys_platform != 'emscripten'$$//"; } > .cache/requirements.new
	@mv .cache/requirements.new requirements.txt

clean: ## remove what make made, but for .venv
	rm -rf _build .cache build dist *.egg-info .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
