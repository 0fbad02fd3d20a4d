# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of sockets that send probes and answers."""

from __future__ import annotations

import socket

# linux/in.h. Sets DF, and heeds only the NIC's MTU, not what the kernel has heard of the path.
_IP_MTU_DISCOVER = 10
_IP_PMTUDISC_PROBE = 3
# linux/in6.h
_IPV6_MTU_DISCOVER = 23
_IPV6_DONTFRAG = 62


def dont_fragment(sock: socket.socket) -> None:
    """Have a socket send what it sends in one packet that nobody may cut up."""
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _IP_PMTUDISC_PROBE)
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_DONTFRAG, 1)
        return
    sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _IP_PMTUDISC_PROBE)
