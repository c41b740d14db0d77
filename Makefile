# Every target that needs the environment sets it up first, so `make demo` and `make test` work on a fresh clone.
SHELL := /bin/bash
PIP := .venv/bin/pip --disable-pip-version-check
STAMP := .venv/.setup-stamp
PYTHON ?= $(shell for p in $$(which -a python3.12 python3 python3.11 python3.13 python3.14 2>/dev/null); do \
	$$p -c 'import ensurepip, venv, sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; done)
NO_PYTHON := No Python 3.11 or newer with its venv module was found; 3.12 is the reference. Install one \
	(pyenv install 3.12; or apt-get install python3 python3-venv) or name one: make setup PYTHON=/path/to/python3.12

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo demo-vision demo-clean test lint docs bench soak fuzz gpu-check wheels

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' Makefile

setup: $(STAMP) ## Install everything into .venv (about 3 minutes, once)

$(STAMP): setup.py constraints.txt
	@[ -x .venv/bin/pip ] || { [ -n "$(PYTHON)" ] || { echo "$(NO_PYTHON)" >&2; exit 1; }; \
		echo "Making .venv with $(PYTHON) (10 seconds)"; "$(PYTHON)" -m venv .venv; }
	@echo "Installing fairseq's wheel"
	@$(PIP) install -qq -c constraints.txt --no-deps --only-binary :all: fairseq-fixed 2>/dev/null || { \
		echo "None for this Python (Linux x86_64 with 3.12 has one): building it from source (about 10 minutes, needs a C++ compiler)"; \
		$(PIP) install -qq -c constraints.txt torch numpy cython ninja setuptools wheel && \
		$(PIP) install -qq -c constraints.txt --no-deps --no-build-isolation fairseq-fixed; }
	@echo "Installing torch, fairseq_prune and all extras (3 to 5 minutes, 5 GB)"
	@$(PIP) install -qq -c constraints.txt -e '.[all]'
	@touch $@

demo: $(STAMP) ## Train, prune and translate on a small generated corpus (4 to 6 minutes)
	@PATH="$(CURDIR)/.venv/bin:$$PATH" bash scripts/demo.sh

demo-vision: $(STAMP) ## Train a small ResNet on digits and cut filters out of it (under 2 minutes)
	@PATH="$(CURDIR)/.venv/bin:$$PATH" bash scripts/vision/demo.sh

demo-clean: ## Remove what the demos made
	rm -rf data-bin/demo* checkpoints/demo*

test: $(STAMP) ## Run the tests on all cores
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n auto

lint: $(STAMP) ## Check the style and the types
	.venv/bin/ruff check .
	.venv/bin/mypy fairseq_prune vision_bridge

docs: $(STAMP) ## Build the documentation site into build/site (10 seconds)
	@NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict
	@echo "Open build/site/index.html"

bench: $(STAMP) demo ## Run the benchmarks and write docs/benchmarks.md (wants an idle machine)
	@PATH="$(CURDIR)/.venv/bin:$$PATH" bash benchmarks/run.sh

soak: $(STAMP) ## Kill 200 runs at random moments, resume and compare them (10 to 20 minutes; N=20 SEED=2 for others)
	@OMP_NUM_THREADS=1 .venv/bin/python benchmarks/soak.py --kills $(or $(N),200) --seed $(or $(SEED),1) --write docs/reliability.md

fuzz: $(STAMP) ## Give 2,000 hostile inputs to every command and count what comes of it (3 minutes; N=200 SEED=2 for others)
	@OMP_NUM_THREADS=1 .venv/bin/python benchmarks/fuzz.py --cases $(or $(N),2000) --seed $(or $(SEED),1) --write docs/reliability.md

gpu-check: $(STAMP) ## Run every method in every precision on this machine's GPU and check what comes of it (6 minutes at most)
	@PATH="$(CURDIR)/.venv/bin:$$PATH" bash scripts/gpu/check.sh

wheels: $(STAMP) ## Fill wheelhouse/ and wheelhouse-deploy/ for an offline machine that has torch, torchvision, scikit-learn, tensorboard
	@.venv/bin/python -c 'import sys, platform as p; sys.exit((*sys.version_info[:2], p.system(), p.machine()) != (3, 12, "Linux", "x86_64"))' || \
		{ echo "wheels: needs a .venv of Python 3.12 on Linux x86_64, as the offline machine's" >&2; exit 1; }
	@echo "Packing two parts of constraints.txt into wheelhouse/ and wheelhouse-deploy/ (1 minute)"
	@rm -rf wheelhouse wheelhouse-deploy
	@sed '1,/^# wheelhouse:/d' constraints.txt | $(PIP) wheel -qq --no-deps -w wheelhouse -r /dev/stdin
	@sed '1,/^# deploy:/d;/^# wheelhouse:/,$$d' constraints.txt | $(PIP) wheel -qq --no-deps -w wheelhouse-deploy -r /dev/stdin
	@kib=$$(du -sk wheelhouse | cut -f1); du -shx wheelhouse wheelhouse-deploy; \
		[ $$kib -lt 65536 ] || { echo "wheels: wheelhouse/ is more than 64 MiB" >&2; exit 1; }
	@echo "There, in the repository: python3 -m pip install --no-index --no-deps wheelhouse*/*.whl"
