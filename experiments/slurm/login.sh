#!/usr/bin/env bash
# On a node that reaches the network: fetch the models and data of one experiment, and build what is read from the hub.
# Usage: NAME=nq_rag_sequence_paper SCALE=paper bash experiments/slurm/login.sh
set -euo pipefail
: "${NAME:?name a cell of experiments/matrix.yaml, such as NAME=nq_rag_sequence_paper}"
SCALE="${SCALE:-paper}"
. .venv/bin/activate

rag-lightning matrix --scale "$SCALE" --only "[\"$NAME\"]" --list_only true
CELL="reports/out/cells/$NAME.yaml"
rag-lightning plan --config "$CELL"
rag-lightning fetch --config "$CELL"
rag-lightning corpus --config "$CELL"
rag-lightning examples --config "$CELL"
