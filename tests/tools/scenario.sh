#!/bin/sh
# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

# Run a molecule scenario on a suite: scenario.sh SUITE NAME [MOLECULE-COMMAND]
set -eu

suite=$1
name=$2
command=${3:-test}

cd "$(dirname "$0")/../.."
core=$(python tests/tools/matrix.py core "$suite")
if [ -n "$core" ]; then
  MAKEFLAGS='' make --silent ".build/cores/$core/ready"
  export PATH="$PWD/.build/cores/$core/venv/bin:$PATH"
fi
export K3S_LAB_SUITE="$suite"
export MOLECULE_GLOB='molecule/*/molecule.yml'
# A place of its own lets one scenario run on several suites at the same time.
export MOLECULE_EPHEMERAL_DIRECTORY="$PWD/.build/molecule/$suite-$name"
export COLUMNS=160
mkdir -p "$MOLECULE_EPHEMERAL_DIRECTORY"
echo "scenario $name on $suite"
start=$(date +%s)
molecule "$command" --scenario-name "$name"
echo "scenario $name on $suite took $(($(date +%s) - start)) s"

# A lab that was ended leaves nothing behind.
if [ "$command" = test ]; then
  lab="k3s-lab-$name-$suite"
  left=$(
    # What finds nothing fails.
    set +e
    find "/run/k3s-network-lab/$lab" 2>/dev/null
    grep -F "/run/$name-$suite/" /proc/mounts
    losetup --list --noheadings | grep -F "/run/$name-$suite/"
    pgrep -af -- "(machine|guest)=$lab-|/run/$name-$suite/"
  ) || true
  if [ -n "$left" ]; then
    echo "the lab of $name on $suite has left this behind:" >&2
    echo "$left" >&2
    exit 1
  fi
fi
