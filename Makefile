# Everything a user does starts here; `make` alone lists it. Targets install what they need first.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.SUFFIXES:

PYTHON ?= python3
TORCH_INDEX ?=
TASK ?= nq
SCALE ?= mini
TRIALS ?=
SEED ?= 0
CORPUS ?=
TRAIN ?=
DEV ?=
TEST ?=
EXPERIMENT ?= experiments/nq_rag_sequence.yaml
SPLIT ?= dev
PORT ?= 5000
CONFIRM ?=
SLOW ?=
VERBOSE ?=
Q ?=
OWN := $(strip $(CORPUS)$(TRAIN)$(DEV)$(TEST))
NAME ?= $(TASK)$(if $(filter-out mini,$(SCALE)),-$(SCALE))$(if $(OWN),-own)$(if $(filter-out 0,$(SEED)),-seed$(SEED))
DATASET ?= $(NAME)

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev
PIP_INSTALL = $(BIN)/python -m pip install --disable-pip-version-check $(if $(TORCH_INDEX),--extra-index-url '$(TORCH_INDEX)') \
	-c constraints.txt
RAG := $(BIN)/rag-lightning
DETAILS = $(if $(VERBOSE),--verbose)

# A sweep file of the scale if there is one (sweeps/nq-mini-long.yaml), else the task's.
SWEEP_FILE = $(firstword $(wildcard sweeps/$(TASK)-$(SCALE).yaml) sweeps/$(TASK).yaml)
empty :=
space := $(empty) $(empty)
comma := ,
json_list = [$(subst $(space),$(comma),$(foreach file,$(1),"$(file)"))]
# A reader shared with another task read that task's mini questions, which are not about a user's passages.
OWN_FILES = --experiment.task.dataset '$(DATASET)' --experiment.reader.task '' \
	$(if $(CORPUS),--experiment.corpus.source '$(CORPUS)') \
	$(if $(TRAIN),--experiment.task.train '$(call json_list,$(TRAIN))') \
	$(if $(DEV),--experiment.task.dev '$(DEV)') \
	$(if $(TEST),--experiment.task.test '$(TEST)')
# A scale of the matrix that is about files of one's own is told which.
OWN_CELLS = $(if $(CORPUS),--corpus '$(CORPUS)') $(if $(TRAIN),--train '$(call json_list,$(TRAIN))')
SWEEP_ARGS = --config '$(SWEEP_FILE)' --name '$(NAME)' $(if $(TRIALS),--trials '$(TRIALS)') --seed '$(SEED)' \
	--experiment.scale '$(SCALE)' --experiment.seed '$(SEED)' $(if $(OWN),$(OWN_FILES))

# Tests never ask the hub. They run side by side, each process with one thread; JOBS=0 runs them in one process.
JOBS ?= auto
TEST_ENV := HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1 TOKENIZERS_PARALLELISM=false OMP_NUM_THREADS=1 MPLBACKEND=Agg

.PHONY: help install fetch sweep smoke report experiment matrix claims plan mlflow-ui ask test test-all bench docs check clean clean-runs

help: ## This list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  %-11s %s\n", $$1, $$2 } \
		/^##@ / { printf "              %s\n", substr($$0, 5) }' $(firstword $(MAKEFILE_LIST))

install: $(INSTALLED) ## Create .venv and install what every command but the checks and tests needs, in the tested versions
##@ PYTHON=python3     interpreter the environment is made with, 3.11 or newer
##@ TORCH_INDEX=URL    another package index to take torch from (a CPU or CUDA build)

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; make PYTHON=python3.11 …" if sys.version_info < (3, 11) else 0)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) -e '.[generation]'
	@touch $@

# Linters, type checker, pytest and the tests' oracles.
$(INSTALLED_DEV): $(INSTALLED)
	$(PIP_INSTALL) -e '.[dev,generation]'
	@touch $@

fetch: $(INSTALLED) ## Fetch the data and the encoder of a scale; shows sizes and licences
##@ SCALE=mini         mini, mini-long or paper
	$(RAG) fetch --scale '$(SCALE)'

sweep: $(INSTALLED) ## From nothing to the table: corpus, vectors, indexes, training, trials, report
##@ TASK=nq            which sweeps/TASK.yaml: nq, triviaqa, webquestions, curatedtrec, msmarco, jeopardy, fever3, fever2
##@ TRIALS=N           trials of the search, the task's own number unless given
##@ SEED=0             of everything random
##@ SCALE=mini         mini (two cores, half an hour), mini-long (trains about an hour) or paper (needs the hub)
##@ CORPUS=F           your passages: DPR TSV (plain or .gz) or JSONL with id, title, text
##@ TRAIN="F …"        your questions: DPR qa.csv, NQ-open JSONL, JSONL with question, answers, or SQuAD JSON
##@ DEV=F TEST=F       the same, for choosing and for the table
##@ NAME=…             of the sweep's folders; TASK, or TASK-own with your files
##@ DATASET=NAME       what your data is called in every table
##@ VERBOSE=yes        details: parts of trials, what was dropped, messages of libraries
	$(RAG) sweep $(SWEEP_ARGS) $(DETAILS)
	$(RAG) report $(SWEEP_ARGS)

smoke: $(INSTALLED) ## The whole path on a few hundred examples, in about three minutes
##@ VERBOSE=yes        as for sweep
	$(RAG) sweep --config sweeps/smoke.yaml $(DETAILS)
	$(RAG) report --config sweeps/smoke.yaml

report: $(INSTALLED) ## Render reports/out/NAME again from stored runs
##@ TASK= SCALE= SEED= NAME=   as for sweep
	$(RAG) report $(SWEEP_ARGS)

experiment: $(INSTALLED) ## Run one experiment on dev: a file of experiments/ or a cell of its matrix.yaml
##@ NAME=…             such as nq_rag_sequence or fever3_rag_token_frozen
##@ SEED=0             of its training
##@ CORPUS=F TRAIN="F …"   as for matrix
##@ VERBOSE=yes        as for sweep
	@test '$(origin NAME)' != file -a -n '$(strip $(NAME))' -a -n '$(strip $(SEED))' || \
		{ echo 'make experiment needs a name and a seed: make experiment NAME=nq_rag_sequence SEED=0' >&2; exit 2; }
	$(RAG) matrix --only '["$(NAME)"]' --seeds '[$(SEED)]' $(OWN_CELLS) $(DETAILS)

matrix: $(INSTALLED) ## Run every experiment of the matrix on dev; goes on where it was interrupted
##@ SCALE=mini         mini, mini-long, nq-subset or paper
##@ VERBOSE=yes        as for sweep
##@ CORPUS=F TRAIN="F …"   as for sweep, where the scale is about files of yours: nq-subset
	$(RAG) matrix --scale '$(SCALE)' $(OWN_CELLS) $(DETAILS)

claims: $(INSTALLED) ## Test the claims of experiments/claims.yaml and print the verdicts
##@ SCALE=mini         of their experiments
##@ CORPUS=F TRAIN="F …"   as for matrix
##@ VERBOSE=yes        as for sweep
##@ SPLIT=dev          dev to investigate, test to decide (a claim meets test once)
	$(RAG) claims --scale '$(SCALE)' $(OWN_CELLS) --split '$(SPLIT)' $(DETAILS)

plan: $(INSTALLED) ## Passages, bytes, memory, disk and hours of an experiment before anything is built
##@ EXPERIMENT=F       its file
	$(RAG) plan --config '$(EXPERIMENT)'

mlflow-ui: $(INSTALLED) ## Open the MLflow UI, for this machine only
##@ PORT=5000          of http://127.0.0.1
	$(BIN)/mlflow ui --backend-store-uri sqlite:///mlflow.db --host 127.0.0.1 --port '$(PORT)'

ask: export QUESTION := $(Q)
ask: $(INSTALLED) ## Answer one question, with its passages, scores and hypotheses
##@ Q="…"              the question
##@ EXPERIMENT=F       the system that answers: experiments/nq_rag_sequence.yaml
	@test -n "$$QUESTION" || { echo 'make ask needs a question: make ask Q="what is the capital of peru"' >&2; exit 2; }
	$(RAG) ask "$$QUESTION" --config '$(EXPERIMENT)'

test: $(INSTALLED_DEV) ## The tests, without the slow ones
##@ JOBS=auto          processes side by side, one a core
	$(TEST_ENV) $(BIN)/python -m pytest -n $(JOBS) --dist loadgroup -m "not slow and not benchmark"

test-all: $(INSTALLED_DEV) ## All tests
	$(TEST_ENV) $(BIN)/python -m pytest -m "not benchmark"

bench: $(INSTALLED_DEV) ## The benchmarks, on one thread
##@ SLOW=yes           those of BART-base size too, long ones, and one that needs 16 GB of memory
	$(TEST_ENV) $(BIN)/python -m pytest tests/benchmarks --benchmark-enable --benchmark-only $(if $(SLOW),,-m "not slow")

docs: $(INSTALLED_DEV) ## Write the tables of docs/results.yaml into README.md and the pages of docs/
	$(BIN)/python .ci/render_results.py

check: $(INSTALLED_DEV) ## Lint, format, types, layers, words, and that every config file, documented command, link and number is valid
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python .ci/check_project.py
	$(BIN)/python .ci/check_words.py
	$(BIN)/python .ci/render_results.py --check

clean: ## Remove caches and .venv; runs and artifacts stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .benchmarks build dist
	find . -path ./artifacts -prune -o -path ./runs -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

clean-runs: ## Remove runs, artifacts, reports and the MLflow store; assets stay
##@ CONFIRM=yes        without it nothing is removed
	@test '$(CONFIRM)' = yes || { echo 'this removes runs/ artifacts/ reports/out/ mlflow.db mlartifacts/; to do it: make clean-runs CONFIRM=yes' >&2; exit 2; }
	rm -rf runs artifacts reports/out mlflow.db mlflow.db-journal mlflow.db.lock mlartifacts
