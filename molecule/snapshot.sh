#!/bin/sh
# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

# Prints all that prepare may change and remove must give back. The order of the lines of a ruleset
# tells only in which order NetworkManager has announced its interfaces. Without --stateless, nft
# prints how many packets a rule has met.
cd /etc || exit
find firewalld NetworkManager/system-connections -type f -exec sha256sum {} + | sort
nft --stateless list ruleset | sort
nmcli -t -f NAME,DEVICE,STATE connection show | sort
# Coloured on a terminal, in newer versions.
ip -color=never -4 route show
ls -A /var/lib/k3s-network 2>/dev/null
exit 0
