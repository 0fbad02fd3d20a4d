#!/bin/sh
# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

# Install the Debian packages that the lab and the tests need, if any is missing.
set -eu

packages="systemd-container mmdebstrap iproute2 nftables openssh-client netcat-openbsd
  qemu-system-x86 e2fsprogs
  procps python3 python3-venv
  chromium chromium-driver
  shellcheck"

missing=""
for package in $packages; do
  dpkg-query --show --showformat='${db:Status-Abbrev}' "$package" 2>/dev/null | grep -q '^ii' ||
    missing="$missing $package"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
  echo "These packages are missing and installing them needs root:$missing" >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086  # a list of names
apt-get install -y -qq --no-install-recommends $missing
