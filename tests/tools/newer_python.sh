#!/bin/sh
# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

# Print a Python that the newest ansible-core runs under: the machine's own, or one of pyenv.
set -eu

for version in 3.13 3.12; do
  # A name of pyenv's may be there without what it stands for.
  if "python$version" -c '' 2>/dev/null; then
    command -v "python$version"
    exit
  fi
  if command -v pyenv >/dev/null; then
    found=$(pyenv versions --bare | grep -x "$version\(\.[0-9]*\)\?" | tail -n 1)
    [ -n "$found" ] || continue
    echo "$(pyenv prefix "$found")/bin/python$version"
    exit
  fi
done
echo "There is no Python 3.13 or 3.12 here, which ansible-core 2.21 needs: install one, with pyenv say," \
  "or leave that out by 'make test-rest NEWEST='" >&2
exit 1
