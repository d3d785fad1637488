# The developer's whole vocabulary. `make` alone prints it.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.NOTPARALLEL:
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check --no-input
CORE := $(wildcard src/whyreset/core/*.pyx src/whyreset/core/*.pxd) bpf/events.h
TYPED := $(wildcard src tests tools benchmarks)
SCRIPTS := $(wildcard tools/*.sh) .ci/run
UV := uv==0.13.9
ARGS ?=
SECONDS := 60

.PHONY: help setup run test test-kernels check bench bench-alerts bench-captures compare-tshark fuzz screens
.PHONY: matrix transcripts bpf lock clean packages-run packages-test packages-kernels packages-bench packages-fuzz FORCE

help:
	@sed -n 's/^## /make /p' $(MAKEFILE_LIST)

## setup    leave the command at .venv/bin/whyreset, and everything a developer needs (PYTHON=... to choose one)
setup: $(VENV)/.dev $(VENV)/.project $(VENV)/.built

## run      install what is needed and watch this host while a demo makes resets to look at (ARGS="--json" for more words)
run: $(VENV)/.project $(VENV)/.built
	@tools/as_root.sh $(BIN)/whyreset watch --demo $(ARGS)

## test     the whole suite, with coverage (ARGS="-k name" for a part of it)
test: packages-test setup
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && chmod 1777 "$$folder" && tools/as_root.sh env \
		COVERAGE_FILE="$$folder/data" HYPOTHESIS_STORAGE_DIRECTORY=build/hypothesis \
		$(BIN)/python -m pytest --numprocesses=2 --cov --cov-report=term $(ARGS)

## test-kernels  the ground truth on Debian's other kernels, under emulation (ARGS="--kernel 6.1 --case 04a" for a part)
test-kernels: packages-test packages-kernels setup
	@$(BIN)/python -m tools.kernels $(ARGS)

## check    format, style, types, layers, sizes, and whether generated files are what they would be if made now
check: setup
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy --no-error-summary $(TYPED)
	$(BIN)/python -m tools.check_layers
	$(BIN)/python -m tools.check_size
	$(BIN)/python -m tools.lock --check
	$(BIN)/python -m tools.build_bpf --check
	if command -v shellcheck >/dev/null; then shellcheck $(SCRIPTS); else echo "shellcheck is not installed: scripts were not checked"; fi

## bench    measure what DESIGN.md promises, as ratios in one run
bench: packages-test setup
	@tools/as_root.sh $(BIN)/python -m benchmarks $(ARGS)

## bench-alerts  thirty simulated days through Netdata's rule, Prometheus' and ours; then beside a real Netdata
bench-alerts: packages-test setup
	@tools/as_root.sh $(BIN)/python -m benchmarks alerts beside

## matrix   play every labelled scenario for real with fresh seeds: what is found, missed, falsely claimed (ARGS="--rounds 3")
matrix: packages-test setup
	@tools/as_root.sh $(BIN)/python -m tools.matrix $(ARGS)

## transcripts  make docs/transcripts.md anew: what is said of each finding, played for real
transcripts: packages-test setup
	@tools/as_root.sh $(BIN)/python -m tools.transcripts $(ARGS)

## screens  make docs/screens.md and the README's picture anew, from a real terminal (takes some minutes)
screens: packages-test setup
	@tools/as_root.sh $(BIN)/python -m tools.screens

## bench-captures  CPU time and memory on captures, against what else reads them (ARGS="5": files five times as large)
bench-captures: packages-test packages-bench setup build/nfstream
	$(BIN)/python -m benchmarks.captures $(ARGS)

## compare-tshark  whether the core finds the resets that tshark finds, in all captures of FOLDER
compare-tshark: packages-test setup
	$(BIN)/python -m tools.compare_tshark $(FOLDER) $(ARGS)

## fuzz     try captures of any bytes on the core for SECONDS=60, checked by a sanitizer
fuzz: packages-fuzz setup
	$(BIN)/python -m tools.fuzz $(SECONDS)

## bpf      rebuild the kernel program's object, which is committed beside its source
bpf: setup
	$(BIN)/python -m tools.build_bpf

## lock     make requirements/*.txt anew from pyproject.toml; versions that still fit stay (delete the files to renew all)
lock: $(VENV)/.python
	$(BIN)/python -m venv build/lock
	build/lock/bin/pip --quiet --disable-pip-version-check install $(UV)
	build/lock/bin/python -m tools.lock

## clean    remove everything that make made, the virtual environment too
clean:
	rm -rf $(VENV) build dist src/*.egg-info
	find src tests tools benchmarks -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
	rm -f src/whyreset/core/*.so

# ---- how setup gets there: one stamp for each step ----

packages-run:
	@tools/install_packages.sh run build

packages-test:
	@tools/install_packages.sh run build test

packages-kernels:
	@tools/install_packages.sh kernels

packages-bench:
	@tools/install_packages.sh bench

packages-fuzz:
	@tools/install_packages.sh fuzz

# a peer of the benchmark, with half a gigabyte of its own; the benchmark does without it where it cannot be had
build/nfstream: | $(VENV)/.python
	@$(BIN)/python -m venv $@ && $@/bin/python -m pip --quiet --disable-pip-version-check install nfstream==6.6.0 || \
		{ rm -rf $@; echo "nfstream cannot be installed: it is not compared"; }

# another PYTHON than last time needs another environment
ifneq ($(PYTHON),)
ifneq ($(PYTHON),$(shell cat $(VENV)/.python 2>/dev/null))
$(VENV)/.python: FORCE
endif
endif

$(VENV)/.python: | packages-run
	@python=$$(tools/find_python.sh) && "$$python" -m venv --clear $(VENV)
	@echo "$(PYTHON)" >$@

$(VENV)/.run: $(VENV)/.python requirements/run.txt
	@echo "installing what whyreset is built from into $(VENV)"
	@$(PIP) install --require-hashes -r requirements/run.txt
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements/dev.txt
	@echo "installing the developer's tools into $(VENV)"
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@

$(VENV)/.built: $(VENV)/.run setup.py pyproject.toml $(CORE)
	@echo "building the compiled core"
	@mkdir -p build
	@$(BIN)/python setup.py -q build_ext --inplace --parallel $$(nproc)
	@touch $@

$(VENV)/.project: $(VENV)/.run setup.py pyproject.toml | $(VENV)/.built
	@$(PIP) install --no-deps --no-build-isolation --no-index -e .
	@touch $@
