# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

# Needs a Debian 12 machine, root, git and make; everything else is installed by the targets.

PYTHON ?= python3
MODE ?= shared
RUNS ?= 5
COUNT ?= 200
SEED ?= random
SUITES := bookworm bullseye trixie
REST := $(filter-out bookworm,$(SUITES))
# The releases to come. It changes every day, so it is not part of test-all.
NEXT := sid
# With two, a core is idle now and then; three keep both busy.
JOBS ?= 3
# The longest first, so that the others run beside it.
SCENARIOS := guard lifecycle default segregated
# The ways by which users come are the same on each suite.
ECOSYSTEM := scenario/bookworm/ecosystem
# On virtual machines. NetworkManager on each suite, and the other network stacks on one.
ROUTES := route route-networkd route-systemd
ROUTE := scenario/bookworm/route
ROUTES_REST := $(REST:%=scenario/%/route) scenario/trixie/route-networkd $(ROUTE) \
  scenario/bookworm/route-systemd
# Each suite's scenarios run with an ansible-core of their own, so that nearly all that
# they do is seen with the oldest, the newest, and that of requirements-dev.txt, at no more cost.
OLDEST ?= 2.16
NEWEST ?= 2.21
CORES := $(OLDEST) $(NEWEST)
# With real services, which are the same on each suite.
LIVE := scenario/bookworm/live

# The pure functions are the same with any ansible-core; few files of module_utils import it.
UNITS := tests/unit/plugins
KNOWS_ANSIBLE = $(patsubst %,$(UNITS)/%/,action filter modules plugin_utils) \
  $(UNITS)/test_examples.py \
  $(wildcard $(patsubst plugins/module_utils/_%.py,$(UNITS)/module_utils/test_%.py, \
    $(shell grep -lE '^ *(from|import) ansible\.' plugins/module_utils/*.py)))

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

## make test                     lint, unit tests, and the scenarios on bookworm
.PHONY: test
test: export PYTEST_ADDOPTS = -m 'not thorough'
test: $(READY)
	$(MAKE) --jobs=$(JOBS) --output-sync=target $(SCENARIOS:%=scenario/bookworm/%) $(ECOSYSTEM) \
	  $(ROUTE) lint unit browser

## make test-all                 test, ansible-test sanity, and everything on every suite and with
##                               the oldest and the newest ansible-core
.PHONY: test-all
test-all: test test-rest

# What waits for an ansible-core would start last, and the longest of all need one. Where that can't
# be had, the rest runs all the same.
.PHONY: test-rest
test-rest: $(READY)
	-$(MAKE) --jobs=2 --keep-going $(CORES:%=.build/cores/%/ready)
	$(MAKE) --jobs=$(JOBS) --output-sync=target LEFT_OUT='-m thorough' \
	  $(REST:%=scenario/%/guard) $(ROUTES_REST) $(LIVE) $(ECOSYSTEM) \
	  $(foreach scenario,$(SCENARIOS),$(patsubst %,scenario/%/$(scenario),$(REST))) \
	  sanity $(CORES:%=unit/%) docs awx

## make test-newest              both topologies and the default route on Debian sid
.PHONY: test-newest
test-newest: $(READY)
	$(MAKE) --jobs=$(JOBS) --output-sync=target --keep-going \
	  $(patsubst %,scenario/$(NEXT)/%,route segregated default)

# With the tests that another suite runs in test-all.
scenario/$(NEXT)/default scenario/$(NEXT)/segregated: export K3S_TEST_STRIDE = 1

## make scenario/SUITE/NAME      one scenario on one suite
EACH := $(foreach suite,$(SUITES) $(NEXT),$(patsubst %,scenario/$(suite)/%,$(SCENARIOS) $(ROUTES) ecosystem live))
.PHONY: $(EACH)
$(EACH): scenario/%: $(READY) $(LINK)
	tests/tools/scenario.sh $(subst /, ,$*)

# What make test has left out; the rest of it need not be seen twice.
$(ECOSYSTEM) $(ROUTE): export PYTEST_ADDOPTS := $(or $(LEFT_OUT),$(PYTEST_ADDOPTS))

define with_core
$(filter scenario/$(1)/%,$(EACH)): export PATH := $(CURDIR)/.build/cores/$(2)/venv/bin:$(PATH)
$(filter scenario/$(1)/%,$(EACH)): .build/cores/$(2)/ready
endef
$(if $(OLDEST),$(eval $(call with_core,bullseye,$(OLDEST))))
$(if $(NEWEST),$(foreach suite,trixie $(NEXT),$(eval $(call with_core,$(suite),$(NEWEST)))))

## make lint                     what antsibull-nox checks, mypy, changelog, generated tables
.PHONY: lint
lint: $(READY) $(LINK)
	tests/tools/lint.sh

## make unit                     unit and property tests
## make unit/2.16                those of what knows Ansible, with that ansible-core
.PHONY: unit
unit: $(READY)
	$(BIN)/python tests/tools/run_ansible_test.py units

.PHONY: $(CORES:%=unit/%)
$(CORES:%=unit/%): unit/%: .build/cores/%/ready
	.build/cores/$*/venv/bin/python tests/tools/run_ansible_test.py units $(KNOWS_ANSIBLE)

## make browser                  report.html in a headless Chromium
.PHONY: browser
browser: $(READY) $(LINK)
	PYTHONPATH=.build $(BIN)/pytest tests/browser

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

## make mutations [COUNT=200] [SEED=random] [MODE=shared]
##                               break a cluster at random, and see whether validate names it exactly
.PHONY: mutations
mutations: $(READY) $(LINK)
	$(BIN)/python -B tests/mutations/run.py --create --lab mutations-$(MODE) --mode $(MODE) \
	  --count $(COUNT) --seed $(SEED)

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
