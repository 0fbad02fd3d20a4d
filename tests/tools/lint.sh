#!/bin/sh
# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

# Every linter, each run even where an earlier one has found something.
set -eu
cd "$(dirname "$0")/../.."
# Without it antsibull-nox formats files instead of telling which are not formatted.
export CI=true
export MYPYPATH="$PWD/.build"
exec nox --reuse-existing-virtualenvs "$@"
