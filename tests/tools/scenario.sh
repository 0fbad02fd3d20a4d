#!/bin/sh
# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

# Run a molecule scenario on a suite: scenario.sh SUITE NAME [MOLECULE-COMMAND]
set -eu

suite=$1
name=$2
command=${3:-test}

cd "$(dirname "$0")/../.."
export K3S_LAB_SUITE="$suite"
export MOLECULE_GLOB='molecule/*/molecule.yml'
# A place of its own lets one scenario run on several suites at the same time.
export MOLECULE_EPHEMERAL_DIRECTORY="$PWD/.build/molecule/$suite-$name"
export COLUMNS=160
mkdir -p "$MOLECULE_EPHEMERAL_DIRECTORY"
echo "scenario $name on $suite"
exec molecule "$command" --scenario-name "$name"
