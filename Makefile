# Everything here needs python3 (3.11 or newer), git, go and make; uv and the cluster's programs are fetched or built
# once, into a cache outside the clone. Nothing else on the machine is touched.
UV_VERSION := 0.13.9

CACHE := $(or $(STAGING_TOOLS_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/staging-cronjobs)
PYTHON := $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
OWN_UV := $(CACHE)/uv-$(UV_VERSION)/bin/uv
UV := $(or $(shell command -v uv),$(OWN_UV))
UV_RUN := "$(UV)" run --locked
CONTROLPLANE := PYTHONPATH="$(CURDIR)/tests/support" $(PYTHON) -m controlplane

TOOL := PYTHONPATH="$(CURDIR)/tests/support" $(UV_RUN) python

export UV_PYTHON_DOWNLOADS := never
export UV_CACHE_DIR ?= $(CACHE)/uv-cache
unexport VIRTUAL_ENV
# Else each of a thousand starts of Python would compile what it imports.
unexport PYTHONDONTWRITEBYTECODE

# All workers share a control plane. By module, for what a module shares; in order, for what takes long comes first.
PARALLEL := --numprocesses 4 --dist loadscope --no-loadscope-reorder

# What the lowest versions of the dependencies are tried with: all that needs no cluster, and one part that does.
LOWEST_TESTS := tests/unit tests/chart tests/cluster/test_controlplane.py

ifeq ($(PYTHON),)
$(error python3 is older than 3.11 or missing, and so are python3.11 to python3.14)
endif

.DEFAULT_GOAL := help
.PHONY: help demo test test-lowest lint format cluster cluster-down bench soak docs clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(UV) ## show it on a cluster of its own
	$(CONTROLPLANE) run -- $(UV_RUN) python tests/tools/demo.py

test: $(UV) ## run all tests (ARGS="-k name" for some)
	$(CONTROLPLANE) build
	$(UV_RUN) pytest $(PARALLEL) $(ARGS)

# Versions that old have no wheels for newer versions of Python.
test-lowest: $(UV) ## run tests with the lowest versions of the dependencies that pyproject.toml allows
	"$(UV)" venv --quiet --allow-existing --python '>=3.11,<3.13' .venv-lowest
	"$(UV)" pip install --quiet --python .venv-lowest --resolution lowest-direct --group dev --editable .
	$(CONTROLPLANE) build
	.venv-lowest/bin/python -m pytest $(LOWEST_TESTS)

# actionlint also runs these two where it finds them: then a workflow would pass on one machine and fail on another.
# It does not know this key yet (rhysd/actionlint#657); a test sees to its value.
ACTIONLINT := -shellcheck= -pyflakes= -ignore 'unexpected key "queue" for "concurrency" section'

lint: $(UV) ## check style, types and workflows
	$(UV_RUN) ruff check
	$(UV_RUN) ruff format --check
	$(UV_RUN) ty check
	$(UV_RUN) zizmor --quiet --offline --persona=pedantic .github
	"$$($(CONTROLPLANE) path actionlint)" $(ACTIONLINT) .github/workflows/*.yml

format: $(UV) ## format the code
	$(UV_RUN) ruff check --fix-only
	$(UV_RUN) ruff format

cluster: ## start a cluster to play with: eval "$(make -s cluster)"
	@$(CONTROLPLANE) up

cluster-down: ## stop it
	@$(CONTROLPLANE) down

bench: $(UV) ## measure (ARGS="--write" for docs/benchmarks.md)
	$(TOOL) tests/tools/bench.py $(ARGS)

soak: $(UV) ## push and delete at random, then look for what is left (ARGS="--seed 2")
	$(TOOL) tests/tools/soak.py $(ARGS)

docs: $(UV) ## write the generated parts of the documentation
	$(TOOL) tests/tools/docs.py --write

clean: cluster-down ## remove all that was made in this clone (the cache stays)
	rm -rf .venv .venv-lowest dist .pytest_cache .ruff_cache .hypothesis
	find charts renderer tests -name __pycache__ -prune -exec rm -rf {} +

$(OWN_UV):
	@echo 'installing uv $(UV_VERSION) …' >&2
	@rm -rf "$(CACHE)/uv-$(UV_VERSION)"
	@$(PYTHON) -m venv "$(CACHE)/uv-$(UV_VERSION)"
	@"$(CACHE)/uv-$(UV_VERSION)/bin/python" -m pip install --quiet --no-cache-dir --disable-pip-version-check 'uv==$(UV_VERSION)'
