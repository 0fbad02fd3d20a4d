#!/bin/sh
# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

# Build the documentation site into .build/docs/html; needs what docs/requirements.txt names.
set -eu

cd "$(dirname "$0")/../.."
export ANSIBLE_COLLECTIONS_PATH="$PWD/.build"
build=.build/docs
rm -rf "$build/rst" "$build/html"
mkdir -p "$build/rst"
antsibull-docs collection --use-current --fail-on-error --squash-hierarchy \
  --dest-dir "$build/rst" edgeops.k3s_network
# antsibull-docs takes the pages and leaves their pictures.
cp -R docs/docsite/rst/images "$build/rst/docsite/"
sphinx-build --quiet --nitpicky --fail-on-warning --keep-going -c docs/site -d "$build/doctrees" \
  "$build/rst" "$build/html"
echo "$build/html/index.html"
