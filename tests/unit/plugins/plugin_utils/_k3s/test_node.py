# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime
import ipaddress
import os
from typing import Any

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._k3s.extract import (
    CONFIG,
    extract,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._k3s.node import addresses, read
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._k3s.settings import (
    NODE_NAME,
    NodeSettings,
    Setting,
    combine,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

FACTS: dict[str, Any] = {
    "settings": [
        {
            "source": CONFIG,
            "key": "node-ip",
            "kind": "file",
            "append": False,
            "alias": True,
            "text": "value:\n- 10.0.0.1\n- '10.0.0.2'",
        },
        {
            "source": "the command line",
            "key": "node-ip",
            "kind": "command line",
            "append": True,
            "value": "10.0.0.3",
        },
        {"source": "X", "key": "node-name", "kind": "environment", "append": False, "value": None},
    ],
    "unreadable": [{"path": CONFIG, "reason": "it has tabs"}],
    "config": "/srv/k3s.yaml",
    "certificate": "",
    "has_run": True,
    "version": "1.33.4",
}


def certificate(*names, extensions=True):
    """Return a certificate of these names in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "node")])
    start = datetime.datetime(2026, 1, 1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, start, start)
    if extensions:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def ip(text):
    return x509.IPAddress(ipaddress.ip_address(text))


def file(text):
    return {"source": "s", "key": "node-ip", "kind": "file", "append": False, "text": text}


def values(*entries):
    return [one.values for one in read({**FACTS, "settings": list(entries)}).settings]


def test_read_node_without_k3s_is_none():
    assert read(None) is None


def test_read_facts_are_settings():
    assert read(FACTS) == NodeSettings(
        settings=[
            Setting(CONFIG, "node-ip", ("10.0.0.1", "10.0.0.2"), alias=True),
            Setting("the command line", "node-ip", ("10.0.0.3",), append=True),
            Setting("X", "node-name", None),
        ],
        unreadable=[f"{CONFIG}: it has tabs"],
        config="/srv/k3s.yaml",
        installed=(),
        version="1.33.4",
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("value: 10.0.0.1", ("10.0.0.1",)),
        ("value: 2001:10:20:30:40:50:10:1", ("2001:10:20:30:40:50:10:1",)),
        ("value: [10.0.0.1, 'fd00::1']", ("10.0.0.1", "fd00::1")),
        ("value: ~", ()),
        ("value:", ()),
        ("value: []", ()),
        ("value: {a: b}", None),
        ("value: [[10.0.0.1]]", None),
        ("value: [", None),
        ("10.0.0.1", None),
        ("other: 10.0.0.1", None),
        ("value: " + "[" * 4000, None),
        ("value: &a [*a]", None),
        ('value: "\\e[31m"', None),
        ("value: \ud800", None),
        ("? [a]\n: b", None),
    ],
)
def test_read_block_is_a_value_a_list_or_not_plain(text, expected):
    assert values(file(text)) == [expected]


def changed(key, value):
    return {**FACTS, key: value}


def with_setting(**changes):
    return changed("settings", [{**FACTS["settings"][1], **changes}])


@pytest.mark.parametrize(
    ("facts", "key"),
    [
        *((facts, "settings") for facts in ({}, [], "", 5, True)),
        *((changed(key, None), key) for key in FACTS),
        *((changed(key, 5), key) for key in FACTS),
        *((changed(key, "\x1b"), key) for key in ("config", "version")),
        *((changed(key, "a" * 5001), key) for key in ("config", "version", "certificate")),
        *((changed("version", text), "version") for text in ("1.33", "1.33.4+k3s1", "1.\u0661.4")),
        *((changed(key, [{}] * 201), key) for key in ("settings", "unreadable")),
        *((changed("settings", [one]), "source") for one in (None, 5, "a", [], {})),
        *((with_setting(**{key: 5}), key) for key in ("source", "key", "kind", "value")),
        *((with_setting(**{key: "a\nb"}), key) for key in ("source", "key", "kind", "value")),
        (with_setting(value="a" * 5001), "value"),
        (with_setting(kind="file"), "text"),
        (with_setting(kind="file", text=["a"]), "text"),
        (changed("unreadable", ["a"]), "path"),
        (changed("unreadable", [{"path": "a", "reason": "\x00"}]), "reason"),
    ],
)
def test_read_facts_of_wrong_types_or_sizes_fail(facts, key):
    with pytest.raises(ValueError, match=rf"^{key} (is not|has characters)"):
        read(facts)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
JSON = st.recursive(
    SCALARS | st.sampled_from(["value: 10.0.0.1", "file", "node-ip", "1.33.4"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=8), inner, max_size=3)
        | st.fixed_dictionaries({}, optional=dict.fromkeys(FACTS["settings"][0], inner))
    ),
    max_leaves=8,
)
FROM_NODES = st.fixed_dictionaries(
    {},
    optional={
        **{key: st.just(value) | JSON for key, value in FACTS.items()},
        "settings": st.lists(
            st.fixed_dictionaries(
                {key: st.just(value) | JSON for key, value in FACTS["settings"][1].items()},
                optional={"text": JSON, "alias": JSON},
            ),
            max_size=3,
        ),
    },
)
NAMES = {*FACTS, *FACTS["settings"][0], "value", "path", "reason"}


@given(FROM_NODES | JSON)
def test_read_any_json_is_printable_or_a_value_error(facts):
    try:
        found = read(facts)
    except ValueError as error:
        assert str(error).partition(" ")[0] in NAMES
        return
    if found is None:
        assert facts is None
        return
    texts = [found.config, found.version, *found.unreadable]
    for one in found.settings:
        texts += [one.source, one.key, *(one.values or ())]
    assert all(text.isascii() and text.isprintable() for text in texts)


# The certificate


def test_addresses_of_a_certificate_are_those_of_the_node():
    names = [*map(ip, ("127.0.0.1", "::1", "192.0.2.11", "fd00::11")), x509.DNSName("localhost")]
    assert addresses(certificate(*names)) == ("192.0.2.11", "fd00::11")
    facts = changed("certificate", certificate(ip("192.0.2.11")))
    assert read(facts).installed == ("192.0.2.11",)
    assert read({**facts, "has_run": False}).installed is None


def odd_name():
    """Return a certificate with a name of a type that cryptography does not know (x400Address)."""
    names = x509.UnrecognizedExtension(
        x509.ObjectIdentifier("2.5.29.17"), bytes.fromhex("3004a3020500")
    )
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    start = datetime.datetime(2026, 1, 1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, start, start)
    signed = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no certificate",
        "\ud800",
        certificate(extensions=False),
        certificate(x509.DNSName("localhost")),
        certificate(ip("10.0.0.9")).replace("MII", "MIJ", 1),
        odd_name(),
    ],
)
def test_addresses_of_another_certificate_are_none(text):
    assert addresses(text) == ()


# From the files of a node to what K3s is told


def told_of_files(tmp_path, group="server", **files):
    """Return what K3s is told by C(config), C(drop_in) and C(unit), and the problems."""
    paths = {
        "config": CONFIG,
        "drop_in": f"{CONFIG}.d/a.yaml",
        "unit": "/etc/systemd/system/k3s.service",
    }
    for name, text in files.items():
        path = tmp_path / paths[name].lstrip("/")
        os.makedirs(path.parent, exist_ok=True)
        path.write_text(text)
    node = read(extract(str(tmp_path)))
    assert node.unreadable == []
    told, problems = combine(group, node.settings)
    return {key: value for key, (value, _source) in told.items()}, problems


NETWORKS = """\
cluster-cidr: 10.44.0.0/16
service-cidr: "10.45.0.0/16"
flannel-backend: wireguard-native
node-name: n1
"""


def test_files_networks_backend_and_name_are_read(tmp_path):
    assert told_of_files(tmp_path, config=NETWORKS) == (
        {
            "cluster-cidr": "10.44.0.0/16",
            "service-cidr": "10.45.0.0/16",
            "flannel-backend": "wireguard-native",
            "node-name": "n1",
        },
        [],
    )
    assert told_of_files(tmp_path, "agent", config=NETWORKS)[0] == {NODE_NAME: "n1"}


@pytest.mark.parametrize(
    ("config", "drop_in", "value"),
    [
        ("i: 10.0.0.1\n", "node-ip: 10.0.0.2\n", "10.0.0.1"),
        ("node-ip: 10.0.0.1\n", "i: 10.0.0.2\n", "10.0.0.1"),
        ("node-ip: 10.0.0.1\n", "node-ip: 10.0.0.2\n", "10.0.0.2"),
        ("node-ip: 10.0.0.1\n", "node-ip+: 10.0.0.2\n", "10.0.0.1"),
    ],
)
def test_files_alias_adds_up_with_the_key(tmp_path, config, drop_in, value):
    told, problems = told_of_files(tmp_path, config=config, drop_in=drop_in)
    assert (told, problems) == ({"node-ip": value}, [])


@pytest.mark.parametrize(
    ("files", "source"),
    [
        ({"config": "node-ip: 10.0.0.1\n", "drop_in": "i: fd00::1\n"}, CONFIG),
        ({"config": "node-ip: [10.0.0.1, fd00::1]\n"}, CONFIG),
        (
            {
                "config": "node-ip: 10.0.0.1\n",
                "unit": "[Service]\nExecStart=k3s server -i fd00::1\n",
            },
            CONFIG,
        ),
    ],
)
def test_files_dual_stack_is_a_problem(tmp_path, files, source):
    _told, [problem] = told_of_files(tmp_path, **files)
    assert problem.startswith(f"node-ip in {source} has IPv4 and IPv6")
