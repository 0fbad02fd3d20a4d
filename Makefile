# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

# Needs a Debian 12 machine, root, git and make; everything else is installed by the targets.

PYTHON ?= python3
MODE ?= shared
RUNS ?= 5
COUNT ?= 200
HEALTHY ?= 20
SEED ?= random
# Reads tests/matrix.yml, where it says which tests run where.
MATRIX = $(BIN)/python tests/tools/matrix.py
# With two, a core is idle now and then; three keep both busy.
JOBS ?= 3
# Besides the ansible-core of requirements-dev.txt, the oldest and the newest that is supported.
CORES := $(sort $(patsubst tests/cores/%.txt,%,$(wildcard tests/cores/*.txt)))
NEWEST := $(lastword $(CORES))

# The pure functions are the same with any ansible-core; few files of module_utils import it. Tests of
# playbooks run them.
UNITS := tests/unit/plugins
KNOWS_ANSIBLE = $(patsubst %,$(UNITS)/%/,action filter modules plugin_utils) \
  $(UNITS)/test_examples.py tests/unit/playbooks/ \
  $(wildcard $(shell grep -rlE '^ *(from|import) ansible\.' plugins/module_utils --include='*.py' | \
    sed 's:^\(.*\)/\([^/]*\)$$:tests/unit/\1/test_\2:'))

VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
READY := $(VENV)/ready
# The path by which Python and Ansible know a collection.
LINK := .build/ansible_collections/edgeops/k3s_network
# Python compiles what it imports, which is a part of what is installed.
INSTALL := install --quiet --disable-pip-version-check --no-compile
# What the collection is compared with, which has awx.awx as well.
BENCH := .build/bench/venv
DOCS := .build/docs-venv
export PATH := $(BIN):$(PATH)

.PHONY: help
help:
	@sed -n 's/^## //p' Makefile

## make demo [MODE=segregated]   a cluster of five machines, prepared and validated
.PHONY: demo
demo: $(READY) $(LINK)
	tests/tools/demo.sh up $(MODE)

## make demo-validate            validate the demo's cluster as it is now
## make demo-prepare             prepare it again
.PHONY: demo-validate demo-prepare
demo-validate demo-prepare: $(READY) $(LINK)
	tests/tools/demo.sh $(@:demo-%=%)

## make demo-down                end the demo's machines
.PHONY: demo-down
demo-down: $(READY)
	tests/tools/demo.sh down

# Which tests these run is in tests/matrix.yml.

## make test                     what a change must pass, on bookworm
.PHONY: test
test: stage/test

## make test-rest                what make test leaves out: other suites, virtual machines, real
##                               services, other versions of ansible-core, sanity, AWX, documentation
.PHONY: test-rest
test-rest: cores
	$(MAKE) stage/rest

## make test-all                 test, test-rest, and what runs before a release only
.PHONY: test-all
test-all: test test-rest
	$(MAKE) stage/all

## make test-newest              the firewall module, both topologies and the default route on Debian sid
.PHONY: test-newest
test-newest: cores
	$(MAKE) stage/newest

STAGES := test rest all newest
.PHONY: $(STAGES:%=stage/%)
$(STAGES:%=stage/%): stage/%: $(READY) $(LINK)
	K3S_TEST_STAGE=$* $(MAKE) --jobs=$(JOBS) --output-sync=target --keep-going \
	  $$($(MATRIX) targets $*)

# Where one can't be had, what needs it fails, and the rest runs all the same.
.PHONY: cores
cores: $(READY)
	-$(MAKE) --jobs=2 --keep-going $(CORES:%=.build/cores/%/ready)

## make scenario/SUITE/NAME      one scenario on one suite, with all of its tests
EACH := $(foreach suite,bookworm bullseye trixie sid,$(patsubst molecule/%/molecule.yml, \
  scenario/$(suite)/%,$(wildcard molecule/*/molecule.yml)))
.PHONY: $(EACH)
$(EACH): scenario/%: $(READY) $(LINK)
	tests/tools/scenario.sh $(subst /, ,$*)

## make lint                     what antsibull-nox checks, mypy, changelog, generated tables
.PHONY: lint
lint: $(READY) $(LINK)
	tests/tools/lint.sh

## make unit                     unit and property tests
## make unit/2.16                those of what knows Ansible, by ansible-test with that ansible-core
.PHONY: unit
unit: $(READY) $(LINK)
	cd $(LINK) && PYTHONPATH=$(CURDIR)/.build $(BIN)/pytest --quiet --numprocesses=auto tests/unit

.PHONY: $(CORES:%=unit/%)
$(CORES:%=unit/%): unit/%: .build/cores/%/ready
	.build/cores/$*/venv/bin/python tests/tools/run_ansible_test.py units $(KNOWS_ANSIBLE)

## make browser                  report.html in a headless Chromium
.PHONY: browser
browser: $(READY) $(LINK)
	PYTHONPATH=.build $(BIN)/pytest tests/browser

## make lab                      the lab itself: two of them side by side
.PHONY: lab
lab: $(READY)
	$(BIN)/pytest tests/lab

## make awx                      execution environment, and the templates against a fake of AWX
.PHONY: awx
awx: $(READY) $(LINK) $(BENCH)/ready
	PYTHONPATH=.build K3S_AWX_COLLECTIONS=$$($(BENCH)/bin/python -c \
	  'import sysconfig; print(sysconfig.get_path("purelib"))') $(BIN)/pytest tests/ee tests/awx

## make docs                     the documentation site, in .build/docs/html
.PHONY: docs
docs: $(LINK) $(DOCS)/ready
	PATH="$(CURDIR)/$(DOCS)/bin:$$PATH" tests/tools/docs.sh

## make sanity                   ansible-test sanity
.PHONY: sanity
sanity: $(READY)
	$(BIN)/python tests/tools/run_ansible_test.py sanity

## make bench [RUNS=5]           how long it takes, beside ansible.posix.firewalld
## make bench SCALE=20           how long it takes on so many machines
.PHONY: bench
bench: $(READY) $(LINK) $(BENCH)/ready
	PYTHONPATH=.build $(BIN)/python -B tests/bench/bench.py --runs $(RUNS) $(SCALE:%=--scale %)

## make mutations [COUNT=200] [HEALTHY=20] [SEED=random] [MODE=shared]
##                               break a cluster at random, and see whether validate names it exactly;
##                               HEALTHY more runs on the unbroken one
.PHONY: mutations
mutations: $(READY) $(LINK)
	$(BIN)/python -B tests/mutations/run.py --create --lab mutations-$(MODE) --mode $(MODE) \
	  --count $(COUNT) --healthy $(HEALTHY) --seed $(SEED)

## make build                    the collection's artifact
.PHONY: build
build: $(READY)
	$(BIN)/ansible-galaxy collection build --force --output-path .build

## make clean                    remove what the targets have made, kept OS images aside
.PHONY: clean
clean:
	if [ -x $(BIN)/python ]; then $(BIN)/python -B molecule/lab/lab.py destroy --all; fi
	rm -rf .build .ansible .nox $(VENV) report

$(LINK):
	mkdir -p $(@D)
	ln -sfn $(CURDIR) $@

$(READY): requirements-dev.txt requirements-test.txt tests/tools/packages.sh
	tests/tools/packages.sh
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip $(INSTALL) -r requirements-dev.txt
	$(MAKE) $(LINK)
	touch $@

.build/cores/%/ready: tests/cores/%.txt requirements-test.txt | $(READY)
	python=$$(if [ $* = "$(NEWEST)" ]; then tests/tools/newer_python.sh; else echo $(PYTHON); fi) && \
	  $$python -m venv .build/cores/$*/venv
	.build/cores/$*/venv/bin/pip $(INSTALL) -r $<
	touch $@

$(DOCS)/ready: docs/requirements.txt | $(READY)
	$(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/pip $(INSTALL) -r $<
	touch $@

$(BENCH)/ready: tests/bench/requirements.txt
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/pip $(INSTALL) --no-deps -r $<
	touch $@
