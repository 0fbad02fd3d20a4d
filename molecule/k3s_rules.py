# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A K3s node without K3s: rules for iptables-restore and nft, and processes of its names.

Rules as iptables-save and nft print them on nodes of K3s 1.21 to 1.34: the embedded kube-proxy
(pkg/proxy/iptables and pkg/proxy/nftables of Kubernetes), kube-router's network policies, Flannel,
and the CNI plugin portmap, which publishes the host ports of ServiceLB. Chains have the names that
these programs give them.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass

IPV4, IPV6 = 4, 6
# About 600 rules for each address family.
SERVICES = 27
_MASQUERADE, _ADMITTED, _ACCEPTED = "0x4000/0x4000", "0x10000/0x10000", "0x20000/0x20000"
_NODE_PORTS = 30100
_NODE_PORT_RANGE = "30000:32767"

# A service k3s that stops without its pods, whose shims belong to the same unit. A program has the
# name of its file. The shim waits for somebody to write, which nobody does.
_BIN = "/var/lib/rancher/k3s/data/0123/bin"
_WAITING = "/run/k3s-shim"
START = f"""
set -e
mkdir -p {_BIN}
cp "$(command -v sleep)" {_BIN}/k3s-server
cat >{_BIN}/containerd-shim-runc-v2 <<'END'
#!/bin/sh
echo $$ >{_WAITING}.pid
read -r line <{_WAITING}
END
chmod +x {_BIN}/containerd-shim-runc-v2
rm -f {_WAITING}
mkfifo {_WAITING}
systemd-run -q --collect --unit k3s -p KillMode=process /bin/sh -c '
  {_BIN}/containerd-shim-runc-v2 -namespace k8s.io -id 90d0 -address /run/k3s/containerd.sock &
  exec {_BIN}/k3s-server infinity'
timeout 60 sh -c 'until pgrep -x k3s-server && pgrep -x containerd-shim; do sleep 0.1; done' \\
  >/dev/null
"""
STOP = "systemctl stop k3s"
# What k3s-killall.sh does to processes, and to rules as it did in 1.21: those of IPv6 stay.
KILLALL = f"""
systemctl stop k3s
kill "$(cat {_WAITING}.pid)"
iptables-save | grep -v KUBE- | grep -v CNI- | grep -iv flannel | iptables-restore
timeout 60 sh -c 'while pgrep -x k3s-server || pgrep -x containerd-shim; do sleep 0.1; done' \\
  >/dev/null
"""
CLEAN_UP = f"""
systemctl stop k3s 2>/dev/null
kill "$(cat {_WAITING}.pid 2>/dev/null)" 2>/dev/null
rm -rf {_WAITING} {_WAITING}.pid /var/lib/rancher
for command in iptables ip6tables iptables-legacy ip6tables-legacy; do
  for table in filter nat mangle; do $command -t $table -F; $command -t $table -X; done
done 2>/dev/null
for family in ip ip6; do nft delete table $family kube-proxy; done 2>/dev/null
true
"""


@dataclass(frozen=True)
class _Network:
    """The networks of pods and services, as K3s has them by default."""

    family: int
    pods: str
    services: str
    loopback: str

    def pod(self, number: int) -> str:
        return str(ipaddress.ip_network(self.pods)[number])

    def service(self, number: int) -> str:
        return str(ipaddress.ip_network(self.services)[number])

    def local_pods(self) -> str:
        """Return the network of this node's pods."""
        size = {IPV4: 24, IPV6: 64}[self.family]
        return str(next(ipaddress.ip_network(self.pods).subnets(new_prefix=size)))

    def endpoint(self, address: str, port: int) -> str:
        return f"[{address}]:{port}" if self.family == IPV6 else f"{address}:{port}"

    def host(self, address: str) -> str:
        return f"{address}/{ipaddress.ip_address(address).max_prefixlen}"


_NETWORKS = {
    IPV4: _Network(IPV4, "10.42.0.0/16", "10.43.0.0/16", "127.0.0.0/8"),
    IPV6: _Network(IPV6, "fd00:42::/56", "fd00:43::/112", "::1/128"),
}


@dataclass(frozen=True)
class _Service:
    """A service of one port; its pods are numbered like the service."""

    network: _Network
    number: int

    @property
    def name(self) -> str:
        return f"default/service-{self.number}:http"

    @property
    def address(self) -> str:
        return self.network.service(self.number)

    @property
    def endpoints(self) -> list[str]:
        """Return the addresses of one, two or three pods."""
        first = 2 + 3 * self.number
        return [self.network.pod(first + index) for index in range(1 + self.number % 3)]

    @property
    def published(self) -> bool:
        return self.number % 5 == 0

    @property
    def node_port(self) -> int:
        return _NODE_PORTS + self.number


POD_PORT = 8080
SERVICE_PORT = 80
HOST_PORT = 8088


def pod(family: int) -> str:
    """Return the address of the only pod of the first service."""
    return _services(family)[0].endpoints[0]


def node_port(family: int) -> int:
    """Return the node port of the first service."""
    return _services(family)[0].node_port


def iptables(family: int) -> str:
    """Return input for iptables-restore --noflush or ip6tables-restore --noflush."""
    network = _NETWORKS[family]
    tables = {
        "mangle": ["-N KUBE-IPTABLES-HINT", "-N KUBE-KUBELET-CANARY", "-N KUBE-PROXY-CANARY"],
        "nat": [*_kube_proxy_nat(family), *_portmap(network), *_flannel_nat(network)],
        "filter": [
            *_network_policies(family),
            *_kube_proxy_filter(network),
            "-N FLANNEL-FWD",
            f"-A FORWARD {_comment('flanneld forward')} -j FLANNEL-FWD",
            f"-A FLANNEL-FWD -s {network.pods} {_comment('flanneld forward')} -j ACCEPT",
            f"-A FLANNEL-FWD -d {network.pods} {_comment('flanneld forward')} -j ACCEPT",
        ],
    }
    text = []
    for table, lines in tables.items():
        chains = [f":{line[3:]} - [0:0]" for line in lines if line.startswith("-N ")]
        rules = [line for line in lines if not line.startswith("-N ")]
        text += [f"*{table}", *chains, *rules, "COMMIT"]
    return "".join(f"{line}\n" for line in text)


def nftables(family: int) -> str:
    """Return input for nft -f: the table of kube-proxy with --proxy-mode=nftables."""
    network = _NETWORKS[family]
    ip = {IPV4: "ip", IPV6: "ip6"}[family]
    address = {IPV4: "ipv4_addr", IPV6: "ipv6_addr"}[family]
    services = _services(family)
    chains: list[str] = []
    verdicts, ports = [], []
    for one in services:
        label = f"{_hash(one.name, 'tcp')[:8]}-{one.name.replace(':', '/tcp/')}"
        verdicts.append(f"{one.address} . tcp . {SERVICE_PORT} : goto service-{label}")
        targets = []
        for number, pod_ in enumerate(one.endpoints):
            endpoint = f"endpoint-{label}__{pod_.replace(':', '.')}/{POD_PORT}"
            targets.append(f"{number} : goto {endpoint}")
            chains += [
                f"chain {endpoint} {{",
                f"{ip} saddr {pod_} jump mark-for-masquerade",
                f"meta l4proto tcp dnat to {network.endpoint(pod_, POD_PORT)}",
                "}",
            ]
        chains += [
            f"chain service-{label} {{",
            f"{ip} daddr {one.address} tcp dport {SERVICE_PORT} {ip} saddr != {network.pods} "
            "jump mark-for-masquerade",
            f"numgen random mod {len(targets)} vmap {{ {', '.join(targets)} }}",
            "}",
        ]
        if one.published:
            ports.append(f"tcp . {one.node_port} : goto external-{label}")
            chains += [
                f"chain external-{label} {{",
                "jump mark-for-masquerade",
                f"goto service-{label}",
                "}",
            ]
    addresses = ", ".join(one.address for one in services)
    return f"""table {ip} kube-proxy {{
comment "rules for kube-proxy"
chain mark-for-masquerade {{
meta mark set meta mark | 0x00004000
}}
{chr(10).join(chains)}
set cluster-ips {{
type {address}
comment "Active ClusterIPs"
elements = {{ {addresses} }}
}}
map service-ips {{
type {address} . inet_proto . inet_service : verdict
comment "ClusterIP, ExternalIP and LoadBalancer IP traffic"
elements = {{ {", ".join(verdicts)} }}
}}
map service-nodeports {{
type inet_proto . inet_service : verdict
comment "NodePort traffic"
elements = {{ {", ".join(ports)} }}
}}
chain services {{
{ip} daddr . meta l4proto . th dport vmap @service-ips
fib daddr type local meta l4proto . th dport vmap @service-nodeports
}}
chain cluster-ips-check {{
{ip} daddr @cluster-ips reject comment "Reject traffic to invalid ports of ClusterIPs"
{ip} daddr {network.services} drop comment "Drop traffic to unallocated ClusterIPs"
}}
chain masquerading {{
meta mark & 0x00004000 == 0x00000000 return
meta mark set meta mark ^ 0x00004000
masquerade fully-random
}}
chain filter-forward {{
type filter hook forward priority -110; policy accept;
ct state new jump cluster-ips-check
}}
chain nat-prerouting {{
type nat hook prerouting priority -100; policy accept;
jump services
}}
chain nat-output {{
type nat hook output priority -100; policy accept;
jump services
}}
chain nat-postrouting {{
type nat hook postrouting priority 100; policy accept;
jump masquerading
}}
}}
"""


def _services(family: int) -> list[_Service]:
    # From 15 on, which is published and has one pod.
    return [_Service(_NETWORKS[family], number) for number in range(15, 15 + SERVICES)]


def _kube_proxy_nat(family: int) -> Iterator[str]:
    network = _NETWORKS[family]
    yield from (
        "-N KUBE-SERVICES",
        "-N KUBE-NODEPORTS",
        "-N KUBE-MARK-MASQ",
        "-N KUBE-POSTROUTING",
        "-N KUBE-KUBELET-CANARY",
        "-N KUBE-PROXY-CANARY",
        f"-A PREROUTING {_comment('kubernetes service portals')} -j KUBE-SERVICES",
        f"-A OUTPUT {_comment('kubernetes service portals')} -j KUBE-SERVICES",
        f"-A POSTROUTING {_comment('kubernetes postrouting rules')} -j KUBE-POSTROUTING",
        f"-A KUBE-MARK-MASQ -j MARK --set-xmark {_MASQUERADE}",
        f"-A KUBE-POSTROUTING -m mark ! --mark {_MASQUERADE} -j RETURN",
        "-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0",
        f"-A KUBE-POSTROUTING {_comment('kubernetes service traffic requiring SNAT')} "
        "-j MASQUERADE --random-fully",
    )
    for one in _services(family):
        chain = f"KUBE-SVC-{_hash(one.name, 'tcp')}"
        to_service = (
            f"-d {network.host(one.address)} -p tcp {_comment(f'{one.name} cluster IP')} "
            f"-m tcp --dport {SERVICE_PORT}"
        )
        yield f"-N {chain}"
        yield f"-A KUBE-SERVICES {to_service} -j {chain}"
        if one.published:
            outside = f"KUBE-EXT-{_hash(one.name, 'tcp')}"
            why = _comment(f"masquerade traffic for {one.name} external destinations")
            yield f"-N {outside}"
            yield f"-A {outside} {why} -j KUBE-MARK-MASQ"
            yield f"-A {outside} -j {chain}"
            yield (
                f"-A KUBE-NODEPORTS -p tcp {_comment(one.name)} -m tcp --dport {one.node_port} "
                f"-j {outside}"
            )
        yield f"-A {chain} ! -s {network.pods} {to_service} -j KUBE-MARK-MASQ"
        left = len(one.endpoints)
        for address in one.endpoints:
            endpoint = network.endpoint(address, POD_PORT)
            target = f"KUBE-SEP-{_hash(one.name, 'tcp', endpoint)}"
            chance = f" -m statistic --mode random --probability {1 / left:.10f}" * (left > 1)
            left -= 1
            yield f"-N {target}"
            yield f"-A {chain} {_comment(f'{one.name} -> {endpoint}')}{chance} -j {target}"
            yield f"-A {target} -s {network.host(address)} {_comment(one.name)} -j KUBE-MARK-MASQ"
            yield (
                f"-A {target} -p tcp {_comment(one.name)} -m tcp "
                f"-j DNAT --to-destination {endpoint}"
            )
    last = "kubernetes service nodeports; NOTE: this must be the last rule in this chain"
    yield f"-A KUBE-SERVICES {_comment(last)} -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS"


def _portmap(network: _Network) -> Iterator[str]:
    """Return the rules of a pod of ServiceLB that publishes a port of the host."""
    chain = f"CNI-DN-{hashlib.sha512(b'cbr0').hexdigest()[:21]}"
    sandbox = hashlib.sha256(b"svclb").hexdigest()
    why = f'dnat name: \\"cbr0\\" id: \\"{sandbox}\\"'
    port = f"-p tcp -m tcp --dport {HOST_PORT}"
    local = {IPV4: "127.0.0.1/32", IPV6: "::1/128"}[network.family]
    yield from (
        "-N CNI-HOSTPORT-DNAT",
        "-N CNI-HOSTPORT-MASQ",
        "-N CNI-HOSTPORT-SETMARK",
        f"-N {chain}",
        "-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT",
        "-A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT",
        f"-A POSTROUTING {_comment('CNI portfwd requiring masquerade')} -j CNI-HOSTPORT-MASQ",
        "-A CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE",
        f"-A CNI-HOSTPORT-SETMARK {_comment('CNI portfwd masquerade mark')} "
        "-j MARK --set-xmark 0x2000/0x2000",
        f"-A CNI-HOSTPORT-DNAT -p tcp {_comment(why)} -m multiport --dports {HOST_PORT} -j {chain}",
        f"-A {chain} -s {network.local_pods()} {port} -j CNI-HOSTPORT-SETMARK",
        f"-A {chain} -s {local} {port} -j CNI-HOSTPORT-SETMARK",
        f"-A {chain} {port} -j DNAT "
        f"--to-destination {network.endpoint(pod(network.family), POD_PORT)}",
    )


def _flannel_nat(network: _Network) -> Iterator[str]:
    why, here = _comment("flanneld masq"), network.local_pods()
    multicast = {IPV4: "224.0.0.0/4", IPV6: "ff00::/8"}[network.family]
    masquerade = f"{why} -j MASQUERADE --random-fully"
    yield from (
        "-N FLANNEL-POSTRTG",
        f"-A POSTROUTING {why} -j FLANNEL-POSTRTG",
        f"-A FLANNEL-POSTRTG -m mark --mark {_MASQUERADE} {why} -j RETURN",
        f"-A FLANNEL-POSTRTG -s {here} -d {network.pods} {why} -j RETURN",
        f"-A FLANNEL-POSTRTG -s {network.pods} -d {here} {why} -j RETURN",
        f"-A FLANNEL-POSTRTG ! -s {network.pods} -d {here} {why} -j RETURN",
        f"-A FLANNEL-POSTRTG -s {network.pods} ! -d {multicast} {masquerade}",
        f"-A FLANNEL-POSTRTG ! -s {network.pods} -d {network.pods} {masquerade}",
    )


def _kube_proxy_filter(network: _Network) -> Iterator[str]:
    new = "-m conntrack --ctstate NEW"
    jumps = [
        ("INPUT OUTPUT", "", "", "KUBE-FIREWALL"),
        ("INPUT FORWARD OUTPUT", new, "kubernetes load balancer firewall", "KUBE-PROXY-FIREWALL"),
        ("INPUT", "", "kubernetes health check service ports", "KUBE-NODEPORTS"),
        ("FORWARD", "", "kubernetes forwarding rules", "KUBE-FORWARD"),
        ("FORWARD OUTPUT", new, "kubernetes service portals", "KUBE-SERVICES"),
        (
            "INPUT FORWARD",
            new,
            "kubernetes externally-visible service portals",
            "KUBE-EXTERNAL-SERVICES",
        ),
    ]
    for chains, match, why, target in jumps:
        yield f"-N {target}"
        for chain in chains.split():
            words = ["-A", chain, match, _comment(why) if why else "", "-j", target]
            yield " ".join(filter(None, words))
    if network.family == IPV4:
        yield (
            f"-A KUBE-FIREWALL ! -s {network.loopback} -d {network.loopback} "
            f"{_comment('block incoming localnet connections')} "
            "-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP"
        )
    yield "-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP"
    yield (
        f"-A KUBE-FORWARD {_comment('kubernetes forwarding rules')} -m mark --mark {_MASQUERADE} "
        "-j ACCEPT"
    )
    yield (
        f"-A KUBE-FORWARD {_comment('kubernetes forwarding conntrack rule')} "
        "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
    )


def _network_policies(family: int) -> Iterator[str]:
    """Return what kube-router makes of pods that no network policy selects."""
    network = _NETWORKS[family]
    reject = {IPV4: "icmp-port-unreachable", IPV6: "icmp6-port-unreachable"}[family]
    accept = _comment(
        "KUBE-ROUTER rule to explicitly ACCEPT traffic that comply to network policies"
    )
    yield "-N KUBE-NWPLCY-DEFAULT"
    for chain in ("INPUT", "FORWARD", "OUTPUT"):
        name = f"KUBE-ROUTER-{chain}"
        yield f"-N {name}"
        yield f"-A {chain} {_comment(f'kube-router netpol - {_hash(chain, name)}')} -j {name}"
        yield f"-A {chain} {accept} -m mark --mark {_ACCEPTED} -j ACCEPT"
    yield (
        f"-A KUBE-ROUTER-INPUT -d {network.services} "
        f"{_comment('allow traffic to primary/secondary cluster IP range')} -j RETURN"
    )
    for protocol in ("tcp", "udp"):
        yield (
            f"-A KUBE-ROUTER-INPUT -p {protocol} "
            f"{_comment(f'allow LOCAL {protocol.upper()} traffic to node ports')} "
            f"-m addrtype --dst-type LOCAL -m multiport --dports {_NODE_PORT_RANGE} -j RETURN"
        )
    icmp = {
        IPV4: "-p icmp -m icmp --icmp-type 8",
        IPV6: "-p ipv6-icmp -m icmp6 --icmpv6-type 128",
    }[family]
    yield f"-A KUBE-NWPLCY-DEFAULT {icmp} {_comment('allow icmp echo requests')} -j ACCEPT"
    yield (
        f"-A KUBE-NWPLCY-DEFAULT {_comment('rule to mark traffic matching a network policy')} "
        f"-j MARK --set-xmark {_ADMITTED}"
    )
    for number, address in enumerate(
        address for one in _services(family)[::2] for address in one.endpoints
    ):
        host, label = network.host(address), f"pod-{number} namespace: default"
        chain = f"KUBE-POD-FW-{_hash('default', label)}"
        to_pod = _comment(f"rule to jump traffic destined to POD name:{label} to chain {chain}")
        from_pod = _comment(f"rule to jump traffic from POD name:{label} to chain {chain}")
        refused = f"-m mark ! --mark {_ADMITTED}"
        yield f"-N {chain}"
        yield f"-A KUBE-ROUTER-INPUT -s {host} {from_pod} -j {chain}"
        yield f"-A KUBE-ROUTER-FORWARD -d {host} {to_pod} -j {chain}"
        yield f"-A KUBE-ROUTER-FORWARD -s {host} {from_pod} -j {chain}"
        yield f"-A KUBE-ROUTER-OUTPUT -d {host} {to_pod} -j {chain}"
        yield (
            f"-A {chain} {_comment('rule for stateful firewall for pod')} "
            "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
        )
        yield f"-A {chain} -d {host} -m addrtype --src-type LOCAL -j ACCEPT"
        yield f"-A {chain} -s {host} -j KUBE-NWPLCY-DEFAULT"
        yield f"-A {chain} -d {host} -j KUBE-NWPLCY-DEFAULT"
        yield f"-A {chain} {refused} -m limit --limit 10/min --limit-burst 10 -j NFLOG"
        yield f"-A {chain} {refused} -j REJECT --reject-with {reject}"
        yield f"-A {chain} -j MARK --set-xmark 0x0/0x10000"
        yield f"-A {chain} -j MARK --set-xmark {_ACCEPTED}"


def _hash(*parts: str) -> str:
    """Return the 16 characters by which kube-proxy and kube-router tell chains apart."""
    digest = hashlib.sha256("".join(parts).encode()).digest()
    return base64.b32encode(digest).decode()[:16]


def _comment(text: str) -> str:
    return f'-m comment --comment "{text}"'
