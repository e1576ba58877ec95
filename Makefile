# Everything from a bare clone: `make perf` measures, `make test` tests. See README.md.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

POETRY_VERSION := 2.5.1
PACKAGES := common broker publisher subscriber perf
SWEEP ?= default
ARGS ?=
, := ,
OUT ?=
# `make test` does not read these.
WHOLE_SYSTEMS := tests/system tests/docs tests/packaging
PYTEST_ARGS ?=
, := ,
# Many tests wait, so there are more processes than cores.
JOBS ?= $(shell echo $$((2 * $$(nproc) < 16 ? 2 * $$(nproc) : 16)))
T ?=

POETRY := $(CURDIR)/.tools/bin/poetry
WHEELS := dist/.built
MANIFESTS := pyproject.toml poetry.lock $(wildcard packages/*/pyproject.toml)
SOURCES := $(shell find packages -type f ! -name '*.pyc')

# Poetry does not read pip's settings, and fails where only the index of pip can be reached. So it
# gets that index from pip.
INDEX = $(shell .tools/bin/python -m pip config get global.index-url 2>/dev/null \
	|| .tools/bin/python -c 'from pip._internal.models.index import PyPI; print(PyPI.simple_url)')
run-poetry = POETRY_PYPI_MIRROR_URL="$(INDEX)" $(POETRY)

# Tests start many interpreters, and byte code halves their start. It is kept apart from the
# sources.
pytest = PYTHONDONTWRITEBYTECODE= PYTHONPYCACHEPREFIX="$(CURDIR)/.cache/python" \
	.venv/bin/python -m pytest
# A worker that dies ends the run, because its successor may wait forever.
parallel = -n $(JOBS) --dist loadscope --max-worker-restart 0

.PHONY: help install build test test-common test-broker test-publisher test-subscriber test-perf test-system test-long attacks chaos chaos-short soak fuzz lint audit contracts format types docs tables check release perf bench bench-check bench-peers peers-figure mininet browser javascript etcd ssh slurm cluster lock clean

help: ## show the targets
	@grep -hE '^[a-z-]+[a-z -]*:.*## ' $(MAKEFILE_LIST) | sed -E 's/ test-.*-perf: test-%:/, ...:/; s/:.*## /\t/' | expand -t 18

install: .venv/.installed ## set up .venv with all packages, editable, and the tools for tests

test: install .venv/.parquet etcd ## run the tests of every change, in parallel; PYTEST_ARGS="-k name" for some
	$(pytest) $(parallel) -m "core or socket" $(WHOLE_SYSTEMS:%=--ignore %) $(PYTEST_ARGS)

test-system: install .venv/.docs .venv/.examples etcd ssh slurm ## run whole systems: Mininet, browser, packaging, documents
	$(pytest) $(parallel) -m system $(PYTEST_ARGS)

attacks: install ## attack the roles at full size, and write the table in SECURITY.md; T=name for some
	PUBSUB_TESTS=long PUBSUB_ATTACKS_OUT=SECURITY.md $(pytest) -m system --timeout 900 \
		tests/system/attacks $(if $(T),-k "$(T)") $(PYTEST_ARGS)

test-long: install chaos ## run the long tests at full size, about an hour
	PUBSUB_TESTS=long $(pytest) $(parallel) -m "(long or hypothesis) and not chaos" --timeout 1200 $(PYTEST_ARGS)
	$(MAKE) fuzz
	$(MAKE) soak SECONDS=600

test-common test-broker test-publisher test-subscriber test-perf: test-%: install ## run one package's tests; T=folder for some
	$(pytest) $(parallel) -m "core or socket" packages/pubsub-$*/tests/$(T) $(PYTEST_ARGS)

chaos: install ## inject faults at random times, about twenty minutes; OUT=folder for the table
	PUBSUB_CHAOS=full PUBSUB_CHAOS_OUT="$(OUT)" $(pytest) tests/chaos -m chaos $(PYTEST_ARGS)

chaos-short: install ## inject a few faults, once each
	$(pytest) tests/chaos -m chaos $(PYTEST_ARGS)

soak: install ## run 20 publishers and 50 subscribers for 30 minutes; SECONDS=, OUT=folder
	.venv/bin/python scripts/soak.py --seconds "$(or $(SECONDS),1800)" $(if $(OUT),--out "$(OUT)") $(ARGS)

fuzz: install ## pass a million changed inputs to all decoders, minutes; RUNS=, SEED=
	.venv/bin/python tests/fuzz/run_fuzz.py "$(or $(RUNS),1000000)" $(SEED)

lint: install ## check style and words
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/python scripts/phrases.py

audit: install .venv/.audit ## look for insecure code, and for packages with known flaws
	.venv/bin/bandit --quiet --configfile pyproject.toml --recursive $(wildcard packages/*/src) scripts benchmarks
	.venv/bin/python scripts/audit.py

contracts: install ## check the imports between packages and folders (pyproject.toml)
	.venv/bin/lint-imports --no-logo

format: install ## format the code
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

types: install $(PACKAGES:%=types-%) ## check types
	.venv/bin/mypy tests scripts benchmarks
	.venv/bin/mypy conftest.py

types-%: install
	.venv/bin/mypy packages/pubsub-$*/src packages/pubsub-$*/tests

check: lint contracts types test ## check style, imports and types, and run the tests

docs: install .venv/.docs ## build the docs as a site in site/, which can be read as files
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict

tables: install ## write the tables of the docs that come from the code
	.venv/bin/python scripts/reference_tables.py

build: $(WHEELS) ## build wheels and source archives of all packages into dist/

release: build .venv/.release ## build and check what a release uploads; it uploads nothing
	.venv/bin/twine check --strict dist/*.whl dist/*.tar.gz
	.tools/bin/python scripts/check_release.py dist

perf: .venv-perf/.installed mininet ## measure both models; SWEEP=full for up to 256 hosts
	@status=0; \
	.venv-perf/bin/pubsub-perf sweep --preset $(SWEEP) --out sweeps/$(SWEEP) $(ARGS) || status=$$?; \
	if [ $$status -le 1 ]; then .venv-perf/bin/pubsub-perf plot sweeps/$(SWEEP) || status=$$?; fi; \
	exit $$status

bench: install ## measure the roles against plain pyzmq, about ten minutes
	.venv/bin/pubsub-perf bench $(ARGS)
	.venv/bin/python benchmarks/registration_cost.py

bench-check: install ## compare with the committed ratios; fails past 15 %; BASE=folder: with that checkout
	.venv/bin/pubsub-perf bench $(if $(BASE),--calls --base "$(BASE)" --bars speed$(,)footprint,--check docs/benchmarks/bars.json) $(ARGS)

bench-peers: install ## measure NATS, Mosquitto, Redis and Zenoh too, installed if possible
	@scripts/peers-debs.sh
	@.tools/bin/python -m pip --python .venv/bin/python install -q --disable-pip-version-check \
		nats-py uvloop paho-mqtt redis hiredis eclipse-zenoh 2> >(grep -v 'is ignored: it is' >&2)
	PYTHONPATH="$(CURDIR)/benchmarks" .venv/bin/python -m peer_systems $(ARGS)

peers-figure: install ## draw docs/benchmarks/peers.json, and write it into the tables of the docs
	PYTHONPATH="$(CURDIR)/benchmarks" .venv/bin/python -m peer_systems \
		--draw docs/benchmarks/peers.json --out docs/images/peers.png
	.venv/bin/python scripts/performance_tables.py

mininet: ## install the Debian packages that Mininet needs, where that is possible
	@scripts/mininet-debs.sh

browser: ## install the Debian package of Chromium, for tests, where that is possible
	@scripts/browser-debs.sh

javascript: ## install the packages of the example in JavaScript, for its tests, if there is Node
	@scripts/javascript-packages.sh || true

etcd: ## install the Debian packages that groups of brokers need, where that is possible
	@scripts/etcd-debs.sh || true

slurm: ## install the Debian packages that the test of sweeps through Slurm needs, if possible
	@scripts/slurm-debs.sh || true

ssh: ## install OpenSSH's client and server, for tests of several machines, where that is possible
	@scripts/ssh-debs.sh || true

cluster: install etcd ## run three brokers on three members of etcd, on loopback, until Ctrl-C; ARGS=-c
	@.venv/bin/pubsub-driver --broker 3 --members 3 $(ARGS)

lock: .tools/.installed ## write poetry.lock again after a change of dependencies
	$(run-poetry) lock

clean: ## remove the files of these targets, except results of sweeps
	rm -rf .venv .venv-perf .tools dist site .cache

# Poetry has an environment of its own: from the project's, `poetry sync` would remove Poetry.
.tools/.installed: Makefile
	@echo "==> Poetry $(POETRY_VERSION) (once)"
	@python=$$(scripts/find-python.sh) && "$$python" -m venv .tools
	@.tools/bin/python -m pip install -q --no-compile --disable-pip-version-check \
		"poetry==$(POETRY_VERSION)" poetry-plugin-pypi-mirror 2> >(grep -v 'is ignored: it is' >&2)
	@touch $@

.venv/.installed: .tools/.installed $(MANIFESTS)
	@echo "==> the packages, into .venv"
	@test -x .venv/bin/python || { python=$$(scripts/find-python.sh) && "$$python" -m venv --without-pip .venv; }
	@# Poetry does not install a package of ours again when only its programs change.
	@rm -rf .venv/lib/python3*/site-packages/pubsub_*.dist-info
	@$(run-poetry) install --no-interaction
	@touch $@

# The groups of pyproject.toml that few targets need.
.venv/.docs .venv/.audit .venv/.parquet .venv/.release .venv/.examples: .venv/.%: .venv/.installed
	@echo "==> the packages of the group $* (pyproject.toml), into .venv"
	@$(run-poetry) install --no-interaction --only $*
	@touch $@

$(WHEELS): .tools/.installed $(MANIFESTS) $(SOURCES) scripts/stage_package.py conftest.py $(wildcard tests/support/*.py)
	@echo "==> wheels and source archives, into dist"
	@rm -rf dist
	@set -e; folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; for p in $(PACKAGES); do \
		staged=$$(.tools/bin/python scripts/stage_package.py $$p "$$folder"); \
		POETRY_VIRTUALENVS_CREATE=false $(run-poetry) -C "$$staged" build -q -o "$(CURDIR)/dist"; done
	@touch $@

# Sweeps run the wheels, as users do, with the versions of the lock file.
.venv-perf/.installed: $(WHEELS) scripts/constraints.py
	@echo "==> the wheels, into .venv-perf"
	@test -x .venv-perf/bin/python || { python=$$(scripts/find-python.sh) && "$$python" -m venv .venv-perf; }
	@.venv-perf/bin/python scripts/constraints.py poetry.lock > .venv-perf/constraints.txt
	@.venv-perf/bin/python -m pip uninstall -q -y $(PACKAGES:%=pubsub-%) 2>/dev/null || true
	@.venv-perf/bin/python -m pip install -q --disable-pip-version-check --find-links dist \
		-c .venv-perf/constraints.txt pubsub-perf 2> >(grep -v 'is ignored: it is' >&2)
	@touch $@
