#!/bin/sh
# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

# Every linter, each run even where an earlier one has found something.
cd "$(dirname "$0")/../.." || exit 1
export ANSIBLE_COLLECTIONS_PATH="$PWD/.build"
status=0

check() {
  echo "== $*"
  "$@" || status=1
}

check ruff check .
check ruff format --check .
check mypy -p ansible_collections.edgeops.k3s_network.plugins.module_utils \
  -p ansible_collections.edgeops.k3s_network.plugins.plugin_utils
check yamllint --strict .
check antsibull-changelog lint
check python tests/tools/role_readme.py --check
check reuse lint --quiet
check antsibull-docs lint-collection-docs --plugin-docs .
check ansible-lint --strict
exit $status
