# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import errno
import os
import socket
import time

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe import icmp as probe_icmp
from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe import listener, wire
from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe import (
    prober as probe_prober,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe.prober import (
    Outcome,
    Outcomes,
    Prober,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe.targets import Endpoint
from ansible_collections.edgeops.k3s_network.tests.unit.support.loopback import (
    HERE,
    MESSAGES,
    THERE,
    TOKEN,
    free_port,
    listening,
    open_files,
    service,
    with_limit_of_files,
)

TIMEOUT = 0.4
UDP = socket.SOCK_DGRAM


def probe(*endpoints, timeout=TIMEOUT):
    return list(Prober(TOKEN, timeout).run(endpoints))


def probe_one(port, protocol="tcp", address=HERE, destination="server1"):
    (outcome,) = probe(Endpoint(destination, address, protocol, port))
    return outcome


@pytest.fixture(params=[True, False], ids=["icmp", "no icmp"])
def icmp(request, monkeypatch):
    """Run a test as root with a raw socket, and as a user without one."""
    if not request.param:
        monkeypatch.setattr(probe_icmp, "open_listener", lambda: None)


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_our_listener_with_the_right_name_is_open(protocol, icmp):
    port = free_port(UDP if protocol == "udp" else socket.SOCK_STREAM)
    with listening((HERE, protocol, port)):
        assert probe_one(port, protocol) == Outcome("open")


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize(
    ("code", "kind"),
    # As Linux 6 answers, for IPv4 and IPv6.
    [
        (errno.EINVAL, "blackhole"),
        (errno.EHOSTUNREACH, "unreachable"),
        (errno.EACCES, "prohibit"),
    ],
)
def test_route_that_drops_packets_is_named(code, kind, protocol, monkeypatch, icmp):
    class NoRoute(socket.socket):
        def connect_ex(self, address):
            return code

    monkeypatch.setattr(socket, "socket", NoRoute)
    assert probe_one(6443, protocol) == Outcome(
        "unreachable", f"the source has a route of the type {kind}"
    )


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_our_listener_with_another_name_is_the_wrong_host(protocol):
    port = free_port(UDP if protocol == "udp" else socket.SOCK_STREAM)
    with listening((HERE, protocol, port), name="agent9"):
        assert probe_one(port, protocol) == Outcome("wrong_host", "agent9")


@pytest.mark.parametrize(
    ("protocol", "kind", "observed"),
    [("tcp", socket.SOCK_STREAM, "accepted"), ("udp", UDP, "timeout")],
)
def test_a_listener_of_another_run_is_not_ours(protocol, kind, observed):
    port = free_port(kind)
    with listening((HERE, protocol, port), token="f" * 32):
        assert probe_one(port, protocol) == Outcome(observed)


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_port_that_nobody_holds_is_refused(protocol, icmp):
    port = free_port(UDP if protocol == "udp" else socket.SOCK_STREAM)
    assert probe_one(port, protocol).observed == "refused"


@pytest.mark.parametrize(
    "says", [b"", b"220 mail\r\n", b"no line", f"{TOKEN}\n".encode(), MESSAGES.tag, b"x" * 2000]
)
def test_a_tcp_service_has_accepted_whatever_it_says(says):
    with service(says=says) as port:
        assert probe_one(port) == Outcome("accepted")


@pytest.mark.parametrize(
    ("answers", "outcome"),
    [
        (None, Outcome("timeout")),
        (lambda data: [data], Outcome("accepted", "it sent back what it got")),
        (lambda _data: [b"hello"], Outcome("accepted")),
    ],
)
def test_a_udp_service_is_never_open(answers, outcome):
    with service(UDP, answers=answers) as port:
        assert probe_one(port, "udp") == outcome


def test_a_listener_of_another_port_is_named():
    def answer(data):
        return [MESSAGES.answer(data, "udp", 9501, "server1")]

    with service(UDP, answers=answer) as port:
        assert probe_one(port, "udp") == Outcome("wrong_host", "server1's port 9501")
    with service(talks=lambda one: one.sendall(answer_of(one, 9501, "server1"))) as port:
        assert probe_one(port) == Outcome("wrong_host", "server1's port 9501")


def answer_of(connection, port, name="server1"):
    """Greet a prober and return the valid answer to its question."""
    connection.sendall(MESSAGES.greeting)
    question = connection.recv(wire.QUESTION_BYTES, socket.MSG_WAITALL)
    return MESSAGES.answer(question, "tcp", port, name)


def test_answer_in_pieces_is_open():
    def talk(connection):
        answer = answer_of(connection, port)
        for start in range(0, len(answer), 10):
            connection.sendall(answer[start : start + 10])
            time.sleep(0.01)

    with service(talks=talk) as port:
        assert probe_one(port) == Outcome("open")


def test_replayed_tcp_answer_is_not_open():
    """A host that holds the address has recorded an earlier probe and sends its answer again."""
    recorded = []

    def talk(connection):
        answer = answer_of(connection, port)
        recorded.append(answer)
        connection.sendall(recorded[0])

    with service(talks=talk) as port:
        assert probe_one(port) == Outcome("open")
        assert probe_one(port) == Outcome("accepted")
    assert recorded[0] != recorded[1]


def test_replayed_udp_answer_is_not_open():
    recorded = []

    def replay(data):
        recorded.append(MESSAGES.answer(data, "udp", port, "server1"))
        return recorded[:1]

    with service(UDP, answers=replay) as port:
        assert probe_one(port, "udp") == Outcome("open")
        assert probe_one(port, "udp") == Outcome("timeout")


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_token_never_crosses_the_network(protocol):
    """Record all that is sent and said, and look for the token and each part of it."""
    said = []

    def talk(connection):
        connection.sendall(MESSAGES.greeting)
        question = connection.recv(wire.QUESTION_BYTES, socket.MSG_WAITALL)
        said.extend([MESSAGES.greeting, question, MESSAGES.answer(question, "tcp", port, "s")])
        connection.sendall(said[-1])

    def answer(data):
        said.extend([data, MESSAGES.answer(data, "udp", port, "s")])
        return said[-1:]

    kind = UDP if protocol == "udp" else socket.SOCK_STREAM
    with service(kind, talks=talk, answers=answer) as port:
        assert probe_one(port, protocol).observed == "wrong_host"
    for secret in (TOKEN.encode(), bytes.fromhex(TOKEN)):
        parts = [secret[at : at + 8] for at in range(len(secret) - 7)]
        assert not any(part in data for part in parts for data in said)


def test_service_gets_no_question():
    """A service that holds the port sees a connection and its end, and not a byte."""
    received = []

    def talk(connection):
        connection.settimeout(5)
        with contextlib.suppress(ConnectionError):
            received.append(connection.recv(100))

    with service(says=b"220 mail\r\n", talks=talk) as port:
        assert probe_one(port) == Outcome("accepted")
    with service(talks=talk) as port:
        assert probe_one(port) == Outcome("accepted")
    assert b"".join(received) == b""


def test_greeting_of_another_run_gets_no_question():
    other = wire.Messages("f" * 32)
    received = []

    def talk(connection):
        connection.sendall(other.greeting)
        with contextlib.suppress(ConnectionError):
            received.append(connection.recv(100))

    with service(talks=talk) as port:
        assert probe_one(port) == Outcome("accepted")
    assert b"".join(received) == b""


def test_host_that_copies_a_greeting_is_not_open():
    with service(says=MESSAGES.greeting) as port:
        assert probe_one(port) == Outcome("accepted")


def test_an_answer_to_another_question_does_not_count():
    question = MESSAGES.question("udp", 9501, wire.nonce(), wire.ANSWER_MAX)
    stale = MESSAGES.answer(question, "udp", 9501, "agent9")
    with service(UDP, answers=lambda _data: [stale]) as port:
        assert probe_one(port, "udp") == Outcome("timeout")
    answers = [stale]
    with service(UDP, answers=lambda data: [*answers, data]) as port:
        # What comes next is evaluated.
        assert probe_one(port, "udp").observed == "accepted"


def test_forged_datagrams_do_not_hide_the_answer():
    def answer(data):
        return [b"forged", data, MESSAGES.answer(data, "udp", port, "server1")]

    with service(UDP, answers=answer) as port:
        assert probe_one(port, "udp") == Outcome("open")


def test_a_lost_datagram_is_sent_again():
    with socket.socket(socket.AF_INET, UDP) as silent:
        silent.bind((HERE, 0))
        probe_one(silent.getsockname()[1], "udp")
        silent.setblocking(False)
        count = 0
        with pytest.raises(BlockingIOError):
            while silent.recv(1024):
                count += 1
    assert count >= 3


def test_many_endpoints_of_two_addresses_are_told_apart():
    one, other, closed = free_port(), free_port(address=THERE), free_port()
    with listening((HERE, "tcp", one)), listening((THERE, "tcp", other), name="agent1"):
        endpoints = [
            Endpoint("server1", HERE, "tcp", one),
            Endpoint("agent1", THERE, "tcp", other),
            Endpoint("server1", THERE, "tcp", other),
            Endpoint("server1", HERE, "tcp", closed),
        ]
        results = probe(*endpoints)
    assert [outcome.observed for outcome in results] == [
        "open",
        "open",
        "wrong_host",
        "refused",
    ]


def test_more_endpoints_than_may_run_at_once_are_all_probed(monkeypatch):
    monkeypatch.setattr(listener, "limit_of_files", lambda _wanted: 67)
    port = free_port()
    endpoints = [Endpoint("server1", f"127.0.0.{number}", "tcp", port) for number in range(1, 30)]
    with listening((HERE, "tcp", port)):
        results = probe(*endpoints)
    assert [outcome.observed for outcome in results] == ["open"] + ["refused"] * 28


def test_where_files_run_out_the_others_wait(monkeypatch):
    def few():
        while os.open(os.devnull, os.O_RDONLY) < 80:
            pass
        return {outcome.observed for outcome in probe(*endpoints)}

    with listening((HERE, "tcp", port := free_port())):
        endpoints = [Endpoint("server1", HERE, "tcp", port)] * 200
        assert with_limit_of_files(100, few) == {"open"}


def test_without_any_free_file_that_is_named():
    def none():
        prober = Prober(TOKEN, TIMEOUT)
        with contextlib.suppress(OSError):
            while True:
                os.open(os.devnull, os.O_RDONLY)
        return list(prober.run([Endpoint("server1", HERE, "tcp", 1)]))

    (outcome,) = with_limit_of_files(100, none)
    assert outcome.observed == "error"
    assert "on the source: no free file descriptors (a process may have 100;" in outcome.detail


def test_no_endpoints_are_no_results():
    assert probe() == []


def test_probing_leaves_no_file_open(icmp):
    before = open_files()
    with service() as port:
        probe(
            Endpoint("server1", HERE, "tcp", port),
            Endpoint("server1", HERE, "tcp", free_port()),
            Endpoint("server1", HERE, "udp", free_port(UDP)),
        )
    assert open_files() == before


def test_probing_leaves_no_connection_in_time_wait():
    port = free_port()
    with listening((HERE, "tcp", port)):
        probe(*[Endpoint("server1", HERE, "tcp", port)] * 20)
        with open("/proc/net/tcp", encoding="ascii") as stream:
            # linux/tcp_states.h: LISTEN is 10.
            states = [line.split()[3] for line in stream if f":{port:04X} " in line]
    assert states == ["0A"]


# What the system says of a failed connection


class FakeIcmp:
    def __init__(self, message):
        self._message = message

    def drain(self):
        pass

    def find(self, _flow):
        return self._message


def explained(code, message=None, protocol="tcp", with_icmp=True, age=0.0):
    prober = Prober(TOKEN, TIMEOUT)
    prober.run([])
    prober._icmp = FakeIcmp(message) if with_icmp else None
    with socket.socket() as sock:
        one = probe_prober._Probe(0, Endpoint("s", "192.0.2.1", protocol, 1), sock, 1.0)
        one.started -= age
        one.flow = ("192.0.2.1", protocol, 40000, 1)
        return prober._explain(one, code)


@pytest.mark.parametrize(
    ("code", "observed", "detail"),
    [
        (errno.ECONNREFUSED, "refused", ""),
        (errno.ETIMEDOUT, "timeout", ""),
        (errno.EHOSTUNREACH, "unreachable", ""),
        (errno.ENETUNREACH, "unreachable", ""),
        (errno.ENOBUFS, "error", "on the source: ENOBUFS"),
        # Reset by a service that had accepted.
        (errno.ECONNRESET, "accepted", ""),
    ],
)
def test_an_errno_is_told_as_what_it_means(code, observed, detail):
    outcome = explained(code)
    assert outcome.observed == observed
    assert detail in outcome.detail


@pytest.mark.parametrize(
    ("icmp_code", "protocol", "observed"),
    [
        (13, "tcp", "rejected"),
        (10, "udp", "rejected"),
        (3, "tcp", "rejected"),
        (3, "udp", "refused"),
        (1, "tcp", "unreachable"),
    ],
)
def test_an_icmp_error_tells_who_says_so(icmp_code, protocol, observed):
    outcome = explained(errno.EHOSTUNREACH, probe_icmp.Message(icmp_code, "192.0.2.9"), protocol)
    assert outcome.observed == observed
    assert "from 192.0.2.9" in outcome.detail


def test_without_icmp_a_reject_is_told_from_a_failed_arp_by_its_time():
    assert explained(errno.EHOSTUNREACH, with_icmp=False).observed == "rejected"
    assert explained(errno.EHOSTUNREACH, with_icmp=False, age=3).observed == "unreachable"


# Outcomes


def test_outcomes_of_another_process_are_taken_over_for_its_share():
    outcomes, others = Outcomes.of(5), Outcomes.of(2)
    outcomes[0] = Outcome("timeout")
    others[0], others[1] = Outcome("open"), Outcome("wrong_host", "agent9")
    outcomes.merge(others, slice(1, 5, 2))
    assert [outcome.observed for outcome in outcomes] == [
        "timeout",
        "open",
        "error",
        "wrong_host",
        "error",
    ]
    assert list(outcomes)[3].detail == "agent9"


def test_details_that_others_make_up_are_bounded():
    count = 5000
    outcomes = Outcomes.of(count)
    for number in range(count):
        outcomes[number] = Outcome("rejected", f"ICMP host prohibited from 192.0.2.{number}")
    outcomes[0] = Outcome("open")
    assert len(outcomes.kinds) <= 1010
    assert list(outcomes)[count - 1] == Outcome("rejected")
    assert next(iter(outcomes)) == Outcome("open")
