# The commands of a user; `make` lists them. Each target first installs what it needs.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.SUFFIXES:

# What may stand behind a target, NAME=value. Only make's command line is read, and no variable of the environment except
# STORAGE. The recipes find the values in the environment, as they were typed: neither make nor a shell reads them.
override ARGUMENTS := PYTHON TORCH_INDEX TASK SCALE TRIALS SEED WORKERS ENGINE STORAGE CORPUS TRAIN DEV TEST NAME DATASET \
	EXPERIMENT SPLIT PORT CONFIRM SLOW VERBOSE Q JOBS KILLS FLIPS TEXTS SIZES KINDS THREADS DEVICE MEASURE DEVICES
override name :=
override UNKNOWN := $(foreach name,$(filter-out $(ARGUMENTS),$(.VARIABLES)),$(if $(filter command,$(origin $(name))),$(name)))
$(if $(strip $(UNKNOWN)),$(error no argument: $(strip $(UNKNOWN)); make help lists them (a variable of the environment stands before make)))
$(if $(findstring e,$(firstword -$(MAKEFLAGS))),$(error make -e would take the environment for arguments; give them behind the target))
$(foreach name,$(ARGUMENTS),$(eval override $(name) := $(if $(filter command,$(origin $(name)))$(filter STORAGE,$(name)),$$(value $(name)))))
export $(ARGUMENTS)

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev
INSTALLED_DASHBOARD := $(VENV)/.installed-dashboard
PIP_INSTALL = $(BIN)/python -m pip install --disable-pip-version-check $(if $(TORCH_INDEX),--extra-index-url "$$TORCH_INDEX") \
	-c constraints.txt
RAG := $(BIN)/rag-lightning
DETAILS = $(if $(VERBOSE),--verbose)
# Runs the command of a target, with the arguments as its words.
run = $(BIN)/python .ci/make.py $(1) $(ARGUMENTS)
# Sweeps that are not named by a task alone, and the others.
SCALES := mini-long paper
TASKS := $(sort $(filter-out smoke $(addprefix %-,$(SCALES)),$(basename $(notdir $(wildcard sweeps/*.yaml)))))

# Tests never use the hub. They run in parallel processes of one thread each; JOBS=0 runs them in one process. Byte code is
# kept, also where the environment says not to: without it each process compiles the package and the tests anew.
TEST_ENV := PYTHONDONTWRITEBYTECODE= HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1 TOKENIZERS_PARALLELISM=false OMP_NUM_THREADS=1 MPLBACKEND=Agg

.PHONY: help install fetch sweep status smoke report demo experiment matrix claims paper plan embed index-bench mlflow-ui optuna-ui ask test test-all bench campaign docs check clean clean-runs

help: export SHOWN := $(TASKS)
help: ## Show this list
	@awk 'BEGIN { FS = ":.*## "; count = split(ENVIRON["SHOWN"], names, " ") } \
		/^##@ +\(TASKS\)$$/ { line = sprintf("%32s", ""); for (i = 1; i <= count; i++) { \
			if (length(line) + length(names[i]) > 98) { print line; line = sprintf("%32s", "") } \
			line = line " " names[i] } print line; next } \
		/^[a-z-]+:.*## / { printf "  %-11s %s\n", $$1, $$2 } \
		/^##@ / { printf "              %s\n", substr($$0, 5) }' Makefile
	@echo; echo 'More commands, such as artifacts, track and doctor: $(RAG) --help'

install: $(INSTALLED) ## Create .venv and install the package with the tested versions of its dependencies
##@ PYTHON=python3     Python interpreter, 3.11 or newer
##@ TORCH_INDEX=URL    additional package index for torch (a CPU or CUDA build)

$(INSTALLED): pyproject.toml constraints.txt
	@"$${PYTHON:-python3}" -c 'import sys; sys.exit("Python 3.11 or newer is needed; make PYTHON=python3.11 …" if sys.version_info < (3, 11) else 0)'
	@test -x $(BIN)/python || "$${PYTHON:-python3}" -m venv $(VENV)
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
	@$(call run,$@)

sweep: $(INSTALLED) ## Search systems on dev, test the best, write the report; builds everything it needs
##@ TASK=nq            name of a file sweeps/TASK.yaml:
##@                    (TASKS)
##@ TRIALS=N           number of trials; default: that of the sweep file
##@ SEED=0             seed of every random choice
##@ SCALE=mini         mini (nq: half an hour on two cores); with a file
##@                    sweeps/TASK-SCALE.yaml also mini-long (trains about an hour)
##@                    or paper (needs the hub)
##@ WORKERS=1          processes that evaluate trials side by side, up to 4 a core
##@ DEVICES=1          processes, one a device, that share embedding and prediction:
##@                    docs/scale.md
##@ STORAGE=URL        study that several machines share, postgresql://…, also from
##@                    the environment; the password in PGPASSFILE or PGPASSWORD
##@ ENGINE=process     process: workers on this machine; ray: on the cluster of
##@                    RAY_ADDRESS, or a local one
##@ CORPUS=F           passages of yours, a file or folder: docs/own-data.md
##@ TRAIN="F …"        files of your training questions: DPR qa.csv, SQuAD, NQ-open
##@                    JSONL, …; all formats: docs/own-data.md; a name with a space
##@                    in quotes: TRAIN="'my file.json' b.jsonl"
##@ DEV=F TEST=F       files of your dev and test questions, in the same formats
##@ NAME=…             name of the sweep's folders; default: TASK, followed by -SCALE,
##@                    -own with your files, and -seedN where they differ
##@ DATASET=NAME       name of your data in tables; default: NAME
##@ VERBOSE=yes        show details: stages of each trial, dropped examples, messages
##@                    of libraries
	@$(call run,$@)
	@$(call run,report)

status: $(INSTALLED) ## Show the state, the trials and the best system of a sweep, while it runs or after
##@ TASK= SCALE= SEED= NAME= STORAGE=   as for sweep
	@$(call run,$@)

smoke: $(INSTALLED) ## Run a tiny sweep on a few hundred examples, in about three minutes
##@ VERBOSE=yes        as for sweep
	$(RAG) sweep --config sweeps/smoke.yaml $(DETAILS)
	$(RAG) report --config sweeps/smoke.yaml

report: $(INSTALLED) ## Write reports/out/NAME again from stored runs
##@ TASK= SCALE= SEED= NAME=   as for sweep (with your own files: NAME=TASK-own)
	@$(call run,$@)

demo: $(INSTALLED) ## Show the report of a finished sweep that comes with the project; nothing is trained
	$(RAG) demo

experiment: $(INSTALLED) ## Run one experiment on dev: a file of experiments/ or a cell of experiments/matrix.yaml
##@ NAME=…             its name, such as nq_rag_sequence, fever3_rag_token_frozen, hotswap
##@ SEED=0             seed of the experiment
##@ CORPUS=F TRAIN="F …"   as for matrix
##@ VERBOSE=yes        as for sweep
	@$(call run,$@)

matrix: $(INSTALLED) ## Run all experiments of the matrix on dev; an interrupted run continues
##@ SCALE=mini         mini, mini-long, nq-subset or paper
##@ VERBOSE=yes        as for sweep
##@ CORPUS=F TRAIN="F …"   as for sweep; only for the scale nq-subset, which needs them
	@$(call run,$@)

claims: $(INSTALLED) ## Test the claims of experiments/claims.yaml and print the verdicts
##@ SCALE=mini         scale of the experiments
##@ CORPUS=F TRAIN="F …"   as for matrix
##@ VERBOSE=yes        as for sweep
##@ SPLIT=dev          dev to explore, test or test2 to decide (each claim only once)
	@$(call run,$@)

paper: $(INSTALLED) ## Write the paper's tables and figures from stored runs, each cell with its verdict
##@ SCALE=mini         scale of the runs: mini, mini-long, nq-subset or paper
	@$(call run,$@)

plan: $(INSTALLED) ## Estimate memory, disk and time of an experiment before it runs
##@ EXPERIMENT=F       file of the experiment; default:
##@                    experiments/nq_rag_sequence.yaml
##@ MEASURE=yes        time single real steps on the device at hand
	@$(call run,$@)

embed: $(INSTALLED) ## Compute the vectors of the passages of an experiment; an interrupted run continues
##@ EXPERIMENT=F       as for plan; CORPUS=F passages of yours
##@ ENGINE=process     process: this one; ray: actors on the cluster of RAY_ADDRESS, or
##@                    a local one, with the same vectors
##@ WORKERS=1          number of these actors, each of one core
##@ VERBOSE=yes        as for sweep
	@$(call run,$@)

index-bench: $(INSTALLED) ## Measure recall, speed, memory and size of every kind of index; a table and a chart
##@ SIZES="N …"        numbers of generated vectors beside the real ones, as 100000
##@ KINDS="K …"        kinds to measure; default: all of experiments/index_bench.yaml
##@ THREADS=1          threads of FAISS
##@ EXPERIMENT=F       whose passages and questions; default:
##@                    experiments/nq_rag_sequence.yaml
	@$(call run,$@)

mlflow-ui: $(INSTALLED) ## Start the MLflow UI, for this machine only
##@ PORT=5000          port of http://127.0.0.1
	@$(call run,$@)

optuna-ui: $(INSTALLED_DASHBOARD) ## Open the study of a sweep in optuna-dashboard, for this machine only
##@ TASK= SCALE= SEED= NAME= STORAGE=   as for sweep
##@ PORT=8080          port of http://127.0.0.1
	@$(call run,$@)

ask: $(INSTALLED) ## Answer questions; show passages, scores and hypotheses
##@ Q="…"              the question; without one a prompt that keeps the model loaded
##@ EXPERIMENT=F       file of the experiment whose system answers; default: as for plan
	@$(call run,$@)

test: $(INSTALLED_DEV) ## Run the tests, except the slow ones
##@ JOBS=auto          number of processes; auto: one per core
	$(TEST_ENV) $(BIN)/python -m pytest -n "$${JOBS:-auto}" --dist loadgroup -m "not slow and not benchmark"

test-all: $(INSTALLED_DEV) ## Run all tests
	$(TEST_ENV) $(BIN)/python -m pytest -m "not benchmark"

bench: $(INSTALLED_DEV) ## Run the benchmarks, on one thread
##@ SLOW=yes           also the long ones, of BART-base size; one needs 16 GB of memory
##@ DEVICE=cpu         device of decoding and of transformers: cpu, cuda, cuda:1, mps
	$(TEST_ENV) $(BIN)/python -m pytest tests/benchmarks --benchmark-enable --benchmark-only $(if $(SLOW),,-m "not slow")

campaign: $(INSTALLED_DEV) ## Attack a sweep: kills, damaged files, hostile texts and names (docs/reliability.md)
##@ KILLS=20 FLIPS=1000 TEXTS=100   numbers of kills, damaged files and texts
	$(TEST_ENV) $(BIN)/python -m tests.campaign --kills "$${KILLS:-20}" --flips "$${FLIPS:-1000}" --sealed 200 \
		--texts "$${TEXTS:-100}" --names 300 --folders 30 --make 500 --pairs 3 --indexes 100

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
	@[ "$$CONFIRM" = yes ] || { echo 'this removes runs/ artifacts/ reports/out/ demo/ mlflow.db mlartifacts/; to confirm: make clean-runs CONFIRM=yes' >&2; exit 2; }
	rm -rf runs artifacts reports/out demo mlflow.db mlflow.db-journal mlflow.db.lock mlartifacts
