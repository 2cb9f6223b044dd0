# The commands of a user; `make` lists them. Each target first installs what it needs.
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
WORKERS ?=
ENGINE ?=
export STORAGE ?=
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
INSTALLED_DASHBOARD := $(VENV)/.installed-dashboard
PIP_INSTALL = $(BIN)/python -m pip install --disable-pip-version-check $(if $(TORCH_INDEX),--extra-index-url '$(TORCH_INDEX)') \
	-c constraints.txt
RAG := $(BIN)/rag-lightning
DETAILS = $(if $(VERBOSE),--verbose)

# The sweep file of task and scale if it exists (sweeps/nq-mini-long.yaml), else that of the task.
SWEEP_FILE = $(firstword $(wildcard sweeps/$(TASK)-$(SCALE).yaml) sweeps/$(TASK).yaml)
empty :=
space := $(empty) $(empty)
comma := ,
# One word of the shell, whatever is in it.
quote = '$(subst ','\'',$(1))'
json_list = [$(subst $(space),$(comma),$(foreach file,$(1),"$(file)"))]
# A user's corpus needs its own reader: reader.task is for questions about the mini corpus.
OWN_FILES = --experiment.task.dataset $(call quote,$(DATASET)) --experiment.reader.task '' \
	$(if $(CORPUS),--experiment.corpus.source $(call quote,$(CORPUS))) \
	$(if $(TRAIN),--experiment.task.train $(call quote,$(call json_list,$(TRAIN)))) \
	$(if $(DEV),--experiment.task.dev $(call quote,$(DEV))) \
	$(if $(TEST),--experiment.task.test $(call quote,$(TEST)))
# The user's files, for a scale of the matrix that needs them.
OWN_CELLS = $(if $(CORPUS),--corpus $(call quote,$(CORPUS))) $(if $(TRAIN),--train $(call quote,$(call json_list,$(TRAIN))))
SWEEP_ARGS = --config $(call quote,$(SWEEP_FILE)) --name $(call quote,$(NAME)) \
	$(if $(TRIALS),--trials $(call quote,$(TRIALS))) --seed $(call quote,$(SEED)) \
	--experiment.scale '$(SCALE)' --experiment.seed $(call quote,$(SEED)) $(if $(OWN),$(OWN_FILES)) \
	$(if $(WORKERS),--workers $(call quote,$(WORKERS))) $(if $(ENGINE),--engine $(call quote,$(ENGINE))) \
	$(if $(STORAGE),--storage "$$STORAGE")
# The task's file is that of the scale mini; a file of another scale has the scale in its name.
SCALES := mini-long nq-subset paper
HAS_SCALES = $(strip mini $(foreach scale,$(SCALES),$(if $(wildcard sweeps/$(TASK)-$(scale).yaml),$(scale))))
ifneq ($(filter sweep status report,$(MAKECMDGOALS)),)
ifeq ($(filter $(SCALE),$(HAS_SCALES)),)
$(error there is no sweep of TASK=$(TASK) for SCALE=$(SCALE), only for $(HAS_SCALES))
endif
endif
TASKS := $(sort $(filter-out smoke $(addprefix %-,$(filter-out nq-subset,$(SCALES))),$(basename $(notdir $(wildcard sweeps/*.yaml)))))

# Tests never use the hub. They run in parallel processes of one thread each; JOBS=0 runs them in one process.
JOBS ?= auto
TEST_ENV := HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1 TOKENIZERS_PARALLELISM=false OMP_NUM_THREADS=1 MPLBACKEND=Agg

.PHONY: help install fetch sweep status smoke report demo experiment matrix claims paper plan mlflow-ui optuna-ui ask test test-all bench campaign docs check clean clean-runs

help: ## Show this list
	@awk 'BEGIN { FS = ":.*## "; count = split("$(TASKS)", names, " ") } \
		/^##@ +\(TASKS\)$$/ { line = sprintf("%32s", ""); for (i = 1; i <= count; i++) { \
			if (length(line) + length(names[i]) > 98) { print line; line = sprintf("%32s", "") } \
			line = line " " names[i] } print line; next } \
		/^[a-z-]+:.*## / { printf "  %-11s %s\n", $$1, $$2 } \
		/^##@ / { printf "              %s\n", substr($$0, 5) }' $(firstword $(MAKEFILE_LIST))
	@echo; echo 'More commands, such as artifacts, track and doctor: $(RAG) --help'

install: $(INSTALLED) ## Create .venv and install the package with the tested versions of its dependencies
##@ PYTHON=python3     Python interpreter, 3.11 or newer
##@ TORCH_INDEX=URL    additional package index for torch (a CPU or CUDA build)

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; make PYTHON=python3.11 …" if sys.version_info < (3, 11) else 0)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) -e '.[generation]'
	@touch $@

# Linters, type checker, pytest and the reference implementations of the tests.
$(INSTALLED_DEV): $(INSTALLED)
	$(PIP_INSTALL) -e '.[dev,generation]'
	@touch $@

$(INSTALLED_DASHBOARD): $(INSTALLED)
	$(PIP_INSTALL) -e '.[dashboard,generation]'
	@touch $@

fetch: $(INSTALLED) ## Download the data and models of a scale; show sizes and licences
##@ SCALE=mini         mini, mini-long or paper
	$(RAG) fetch --scale '$(SCALE)'

sweep: $(INSTALLED) ## Search systems on dev, test the best, write the report; builds everything it needs
##@ TASK=nq            name of a file sweeps/TASK.yaml:
##@                    (TASKS)
##@ TRIALS=N           number of trials; default: that of the sweep file
##@ SEED=0             seed of every random choice
##@ SCALE=mini         mini (nq: half an hour on two cores); with a file
##@                    sweeps/TASK-SCALE.yaml also mini-long (trains about an hour)
##@                    or paper (needs the hub)
##@ WORKERS=1          processes that evaluate trials side by side, up to 4 a core
##@ STORAGE=URL        study that several machines share, postgresql://…; keep the
##@                    password in PGPASSFILE or PGPASSWORD
##@ ENGINE=process     process: workers on this machine; ray: on the cluster of
##@                    RAY_ADDRESS, or a local one
##@ CORPUS=F           passages of yours, a file or folder: docs/own-data.md
##@ TRAIN="F …"        files of your training questions: DPR qa.csv, SQuAD, NQ-open
##@                    JSONL, …; all formats: docs/own-data.md
##@ DEV=F TEST=F       files of your dev and test questions, in the same formats
##@ NAME=…             name of the sweep's folders; default: TASK, followed by -SCALE,
##@                    -own with your files, and -seedN where they differ
##@ DATASET=NAME       name of your data in tables; default: NAME
##@ VERBOSE=yes        show details: stages of each trial, dropped examples, messages
##@                    of libraries
	$(RAG) sweep $(SWEEP_ARGS) $(DETAILS)
	$(RAG) report $(SWEEP_ARGS)

status: $(INSTALLED) ## Show the state, the trials and the best system of a sweep, while it runs or after
##@ TASK= SCALE= SEED= NAME= STORAGE=   as for sweep
	@$(RAG) sweep $(SWEEP_ARGS) --status

smoke: $(INSTALLED) ## Run a tiny sweep on a few hundred examples, in about three minutes
##@ VERBOSE=yes        as for sweep
	$(RAG) sweep --config sweeps/smoke.yaml $(DETAILS)
	$(RAG) report --config sweeps/smoke.yaml

report: $(INSTALLED) ## Write reports/out/NAME again from stored runs
##@ TASK= SCALE= SEED= NAME=   as for sweep (with your own files: NAME=TASK-own)
	$(RAG) report $(SWEEP_ARGS)

demo: $(INSTALLED) ## Show the report of a finished sweep that comes with the project; nothing is trained
	$(RAG) demo

experiment: $(INSTALLED) ## Run one experiment on dev: a file of experiments/ or a cell of experiments/matrix.yaml
##@ NAME=…             its name, such as nq_rag_sequence or fever3_rag_token_frozen
##@ SEED=0             seed of the experiment
##@ CORPUS=F TRAIN="F …"   as for matrix
##@ VERBOSE=yes        as for sweep
	@test '$(origin NAME)' != file -a -n $(call quote,$(strip $(NAME))) -a -n $(call quote,$(strip $(SEED))) || \
		{ echo 'make experiment needs a name and a seed: make experiment NAME=nq_rag_sequence SEED=0' >&2; exit 2; }
	$(RAG) matrix --only $(call quote,["$(NAME)"]) --seeds $(call quote,[$(SEED)]) $(OWN_CELLS) $(DETAILS)

matrix: $(INSTALLED) ## Run all experiments of the matrix on dev; an interrupted run continues
##@ SCALE=mini         mini, mini-long, nq-subset or paper
##@ VERBOSE=yes        as for sweep
##@ CORPUS=F TRAIN="F …"   as for sweep; only for the scale nq-subset, which needs them
	$(RAG) matrix --scale '$(SCALE)' $(OWN_CELLS) $(DETAILS)

claims: $(INSTALLED) ## Test the claims of experiments/claims.yaml and print the verdicts
##@ SCALE=mini         scale of the experiments
##@ CORPUS=F TRAIN="F …"   as for matrix
##@ VERBOSE=yes        as for sweep
##@ SPLIT=dev          dev to explore, test or test2 to decide (each claim only once)
	$(RAG) claims --scale '$(SCALE)' $(OWN_CELLS) --split '$(SPLIT)' $(DETAILS)

paper: $(INSTALLED) ## Write the paper's tables and figures from stored runs, each cell with its verdict
##@ SCALE=mini         scale of the runs: mini, mini-long, nq-subset or paper
	$(RAG) paper --scale '$(SCALE)'

plan: $(INSTALLED) ## Estimate memory, disk and time of an experiment before it runs
##@ EXPERIMENT=F       file of the experiment; default:
##@                    experiments/nq_rag_sequence.yaml
	$(RAG) plan --config '$(EXPERIMENT)'

mlflow-ui: $(INSTALLED) ## Start the MLflow UI, for this machine only
##@ PORT=5000          port of http://127.0.0.1
	@echo 'open http://127.0.0.1:$(PORT)/ in a browser; Ctrl-C ends the server' >&2
	$(BIN)/mlflow ui --backend-store-uri sqlite:///mlflow.db --host 127.0.0.1 --port '$(PORT)'

# The URL of a file quotes what means something in it.
STUDY_URL = $(BIN)/python -c 'import pathlib, sys; from rag_lightning.core.files import sqlite_url as url; \
	print(url(pathlib.Path(sys.argv[1])))' $(call quote,runs/$(NAME)/study.db)
optuna-ui: PORT := $(if $(filter file,$(origin PORT)),8080,$(PORT))
optuna-ui: $(INSTALLED_DASHBOARD) ## Open the study of a sweep in optuna-dashboard, for this machine only
##@ TASK= SCALE= SEED= NAME= STORAGE=   as for sweep
##@ PORT=8080          port of http://127.0.0.1
	@study=$(call quote,runs/$(NAME)/study.db); case "$${STORAGE:-}" in sqlite:///*) study="$${STORAGE#sqlite:///}" ;; esac; \
		case "$${STORAGE:-}" in postgresql*|*%*) ;; *) test -f "$$study" || \
		{ echo "$$study: no study yet; run make sweep first, or check NAME and STORAGE" >&2; exit 2; } ;; esac
	@echo 'open http://127.0.0.1:$(PORT)/ in a browser; Ctrl-C ends the server' >&2; url="$${STORAGE:-$$($(STUDY_URL))}"; \
		$(BIN)/optuna-dashboard "$${url/#postgresql:/postgresql+psycopg:}" --host 127.0.0.1 --port '$(PORT)'

ask: export QUESTION := $(Q)
ask: $(INSTALLED) ## Answer questions; show passages, scores and hypotheses
##@ Q="…"              the question; without one a prompt that keeps the model loaded
##@ EXPERIMENT=F       file of the experiment whose system answers; default: as for plan
	$(RAG) ask $(if $(Q),"$$QUESTION") --config '$(EXPERIMENT)'

test: $(INSTALLED_DEV) ## Run the tests, except the slow ones
##@ JOBS=auto          number of processes; auto: one per core
	$(TEST_ENV) $(BIN)/python -m pytest -n $(JOBS) --dist loadgroup -m "not slow and not benchmark"

test-all: $(INSTALLED_DEV) ## Run all tests
	$(TEST_ENV) $(BIN)/python -m pytest -m "not benchmark"

bench: $(INSTALLED_DEV) ## Run the benchmarks, on one thread
##@ SLOW=yes           also the long ones, of BART-base size; one needs 16 GB of memory
	$(TEST_ENV) $(BIN)/python -m pytest tests/benchmarks --benchmark-enable --benchmark-only $(if $(SLOW),,-m "not slow")

campaign: $(INSTALLED_DEV) ## Attack a sweep: kills, damaged files, hostile texts and names (docs/reliability.md)
##@ KILLS=20 FLIPS=1000 TEXTS=100   how often
	$(TEST_ENV) $(BIN)/python -m tests.campaign --kills "$${KILLS:-20}" --flips "$${FLIPS:-1000}" --sealed 200 \
		--texts "$${TEXTS:-100}" --names 300 --folders 30 --make 500 --pairs 3

docs: $(INSTALLED_DEV) ## Write the tables of results and formats into README.md and the pages of docs/
	$(BIN)/python .ci/render_results.py
	$(BIN)/python .ci/render_formats.py

check: $(INSTALLED_DEV) ## Check lint, format, types, layers, words, config files, and the documents
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python .ci/check_project.py
	$(BIN)/python .ci/check_words.py
	$(BIN)/python .ci/render_results.py --check
	$(BIN)/python .ci/render_formats.py --check

clean: ## Remove caches and .venv; keep runs and artifacts
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .benchmarks build dist
	find . -path ./artifacts -prune -o -path ./runs -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

clean-runs: ## Remove runs, artifacts, reports, the demo and the MLflow store; keep assets
##@ CONFIRM=yes        required to remove anything
	@test '$(CONFIRM)' = yes || { echo 'this removes runs/ artifacts/ reports/out/ demo/ mlflow.db mlartifacts/; to confirm: make clean-runs CONFIRM=yes' >&2; exit 2; }
	rm -rf runs artifacts reports/out demo mlflow.db mlflow.db-journal mlflow.db.lock mlartifacts
