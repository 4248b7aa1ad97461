# Everything that a user types. Each target that runs code builds .venv from the locks first; an unchanged lock costs nothing.
SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON      ?= python3.11
ACCELERATOR ?= $(shell nvidia-smi -L 2>/dev/null | grep -q '^GPU' && echo cuda || echo cpu)
PARAMS      ?=
JOBS        ?= 1

ifeq ($(filter $(ACCELERATOR),cpu cuda),)
$(error ACCELERATOR=$(ACCELERATOR) is not known; allowed: cpu, cuda)
endif

# Torch stands alone on a CPU: its CPU build has other hashes than the registry's CUDA build (see requirements/README.md).
TORCH  := $(if $(filter cpu,$(ACCELERATOR)),requirements/torch-cpu.txt)
LOCK   := requirements/$(ACCELERATOR).txt
STAMP  := .venv/.installed-$(shell cat $(TORCH) $(LOCK) | sha256sum | cut -c1-16)
RUN    := PATH="$(CURDIR)/.venv/bin:$$PATH" DVC_NO_ANALYTICS=1
COMMAND = $(RUN) python -m pipeline.commands

.PHONY: help venv repro test test-slow lint doctor plan params table keep bench-sampling bench-training bench-verify lock mlflow \
        lab-models gsm8k-models clean

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

venv: $(STAMP) ## the environment, from the locks

$(STAMP):
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not there; install Python 3.11 with its headers, or set PYTHON=" >&2; exit 1; }
	rm -rf .venv
	$(PYTHON) -m venv .venv
	$(if $(TORCH),.venv/bin/pip install --quiet --no-deps -r $(TORCH))
	@if [ "$(ACCELERATOR)" = cpu ] && compgen -G '.venv/lib/python3.11/site-packages/torch/lib/libtorch_cuda*' >/dev/null; then \
	  echo "pip found a CUDA build of torch, which does not run here; point pip at PyTorch's CPU wheels" \
	       "(PIP_EXTRA_INDEX_URL or PIP_FIND_LINKS, see requirements/README.md), or set ACCELERATOR=cuda" >&2; exit 1; fi
	.venv/bin/pip install --quiet --no-deps --require-hashes -r $(LOCK)
	@touch $@

repro: $(STAMP) ## problems to a served student: the whole graph; PARAMS=configs/x.yaml runs that recipe, JOBS=2 trains two students at a time
	$(if $(PARAMS),@$(COMMAND).params $(PARAMS) --use)
	$(if $(filter-out 1,$(JOBS)),@$(RUN) dvc repro compose && $(RUN) python -m pipeline.commands.train_ahead --jobs $(JOBS))
	@$(RUN) dvc repro
	@$(COMMAND).table

test: $(STAMP) ## the fast tests
	@$(RUN) OMP_NUM_THREADS=1 python -m pytest -q -n auto --maxprocesses 8 --dist loadfile -m "not slow and not vllm"

test-slow: $(STAMP) ## the tests that train on several processes or start vLLM
	@$(RUN) python -m pytest -q -m "slow or vllm" --timeout 1200

lint: $(STAMP) ## ruff and mypy --strict
	@$(RUN) ruff check .
	@$(RUN) ruff format --check .
	@$(RUN) mypy

doctor: $(STAMP) ## versions, devices, precision, memory, disk, and which recipes can run here
	@$(COMMAND).doctor $(PARAMS)

plan: $(STAMP) ## tokens, hours and disk per stage, before anything is spent; PARAMS=configs/x.yaml for a recipe
	@$(COMMAND).plan $(or $(PARAMS),params.yaml)

params: $(STAMP) ## the settings with all defaults filled in
	@$(COMMAND).params $(or $(PARAMS),params.yaml)

table: $(STAMP) ## what each stage did when it last ran
	@$(COMMAND).table

keep: ## keep the last report and its settings: NAME=lab-best writes results/lab-best.*
	@test -n "$(NAME)" || { echo "which name? make keep NAME=lab-best" >&2; exit 1; }
	@mkdir -p results
	@cp data/store/report/measures.json results/$(NAME).json
	@cp data/store/report/report.md results/$(NAME).md
	@cp data/store/report/plots/pareto.png results/$(NAME).png
	@cp params.yaml results/$(NAME).yaml
	@ls results/$(NAME).*

bench-sampling: $(STAMP) ## tokens per second against raw vLLM, and what ESC saves; ARGS="--only speed --repeats 3"
	@$(COMMAND).bench_sampling $(ARGS)

bench-training: $(STAMP) ## seconds, memory and accuracy of a student in fp32 and bf16; ARGS="--student post_think"
	@$(COMMAND).bench_training $(ARGS)

bench-verify: $(STAMP) ## verdicts per second and errors against a plain loop over Math-Verify; ARGS="--items 2000"
	@$(COMMAND).bench_verify $(ARGS)

mlflow: $(STAMP) ## the runs in a browser, on loopback
	@store=$$($(RUN) python -c 'from pipeline.support.tracking import store_uri; print(store_uri())'); \
	$(RUN) mlflow ui --backend-store-uri "$$store" --host 127.0.0.1 --port 5000

lab-models: $(STAMP) ## rebuild the lab's two models from their seeds (hours)
	@$(COMMAND).lab_models teacher student
	@$(COMMAND).lab_cards

gsm8k-models: $(STAMP) ## fetch and convert the models of configs/gsm8k-cpu.yaml, pinned by hash
	@$(COMMAND).fetch_models

# uv resolves in a throw-away environment. A CPU build of torch comes from pip's own wheel folder where one is set, else from PyTorch.
UV        = "$$folder/bin/uv" pip compile --quiet --python-version 3.11 --generate-hashes --no-annotate --no-header --override override.txt
CPU_TORCH = $(if $(PIP_FIND_LINKS),--find-links $(PIP_FIND_LINKS),--torch-backend cpu)
lock: ## resolve requirements/*.in for CPU and CUDA; keeps locked versions that still fit, UPGRADE=1 takes the newest
	@folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
	$(PYTHON) -m venv "$$folder" && "$$folder/bin/pip" install --quiet uv==0.13.9 && cd requirements && \
	$(UV) $(if $(UPGRADE),--upgrade) $(CPU_TORCH) --no-emit-package torch -o cpu.txt cpu.in && \
	$(UV) $(if $(UPGRADE),--upgrade) --python-platform x86_64-manylinux_2_28 -o cuda.txt cuda.in && \
	sed -n 's/^\(torch==[^ ]*\).*/\1/p' cuda.txt > torch-cpu.txt && \
	if grep -nE '^--|://' cpu.txt cuda.txt; then echo "a lock names a host or a folder" >&2; exit 1; fi

clean: ## remove outputs and caches; keeps completions, checkpoints, MLflow runs and .venv
	rm -rf data/store .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
