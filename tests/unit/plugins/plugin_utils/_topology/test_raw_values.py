# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._topology import raw_values
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._topology.model import by_host

RULE = {"name": "api", "port": "6443"}


class Vaulted:
    """A vaulted text as ansible-core before 2.19 holds it: decrypted when it becomes a text."""

    def __init__(self, secret):
        self._secret = secret

    def __str__(self):
        return self._secret


@pytest.mark.parametrize("read", list(dict.fromkeys(raw_values.KINDS.values())))
@pytest.mark.parametrize("empty", [None, "", "  ", "\n", Vaulted("")])
def test_empty_text_is_unset_for_every_kind(read, empty):
    assert read(empty) is None


@pytest.mark.parametrize(
    ("read", "given", "value"),
    [
        (raw_values.text, " eth0\n", "eth0"),
        (raw_values.text, 7, "7"),
        (raw_values.text, Vaulted("192.0.2.11"), "192.0.2.11"),
        (raw_values.truth, "no", False),
        (raw_values.truth, Vaulted("true"), True),
        (raw_values.truth, 1, True),
        (raw_values.words, "10.0.0.0/8, 192.168.0.0/16\n", ["10.0.0.0/8", "192.168.0.0/16"]),
        (raw_values.words, '["cni0", "flannel.1"]', ["cni0", "flannel.1"]),
        (raw_values.words, "- cni0\n- flannel.1\n", ["cni0", "flannel.1"]),
        (raw_values.words, Vaulted("cni0 flannel.1"), ["cni0", "flannel.1"]),
        (raw_values.words, [Vaulted("cni0")], ["cni0"]),
        (raw_values.words, [], []),
        (raw_values.entries, '[{"name": "api", "port": "6443"}]', [RULE]),
        (raw_values.entries, '- name: api\n  port: "6443"\n', [RULE]),
        (raw_values.entries, [{"name": Vaulted("api"), "port": "6443"}], [RULE]),
        (raw_values.entries, "[]", []),
    ],
)
def test_value_of_any_form_is_read(read, given, value):
    assert read(given) == value


@pytest.mark.parametrize(
    ("read", "given", "part"),
    [
        (raw_values.text, True, "is a boolean, expected a text; write the value in quotes"),
        (raw_values.text, ["eth0"], "is a list, expected a text"),
        (raw_values.text, {"a": 1}, "is a dictionary, expected a text"),
        (raw_values.truth, "perhaps", "is 'perhaps'; it is true or false"),
        (raw_values.truth, [True], "it is true or false"),
        (raw_values.words, True, "is a boolean, expected a list"),
        (raw_values.words, 7, "is a number, expected a list"),
        (raw_values.words, {"cni0": 1}, "is a dictionary, expected a list"),
        (raw_values.words, '{"cni0": 1}', "is text, expected a list"),
        (raw_values.words, ["cni0", None], "has an entry that is not a text"),
        (raw_values.entries, "etcd", "is text, expected a list"),
        (raw_values.entries, "- name: [", "is text, expected a list"),
        (raw_values.entries, "!!python/object:os.system x", "is text, expected a list"),
        (raw_values.entries, "[" * 5000, "is text, expected a list"),
        (raw_values.entries, "x" * 100_001, "more than 100000 characters"),
        (raw_values.entries, RULE, "is a dictionary, expected a list"),
        *(
            (read, given, part)
            for read in (raw_values.text, raw_values.words, raw_values.entries, raw_values.truth)
            for given, part in (
                ("__omit_place_holder__2f9a", "is omit, which only an option of a task can have"),
                ("{{ nowhere }}", "is a template that cannot be worked out here"),
            )
        ),
    ],
)
def test_value_that_cannot_be_used_is_explained(read, given, part):
    with pytest.raises(ValueError) as error:
        read(given)
    assert part in str(error.value)


@pytest.mark.parametrize(
    ("error", "part"),
    [
        ("'ansible_default_ipv4' is undefined", "gather no facts of the module setup"),
        ("object of type 'dict' has no attribute 'default_ipv4'", "gather no facts"),
        ("A template was resolved to an Omit scalar.", "is omit, which only an option of a task"),
        ("decryption failed", "can't be read: decryption failed; write its value"),
    ],
)
def test_variable_that_ansible_cannot_read_has_a_remedy(error, part):
    assert part in raw_values.unreadable(error)


def test_shipped_ports_stand_for_an_empty_answer():
    assert "etcd" in [rule["name"] for rule in raw_values.default_ports()]


def test_problems_are_grouped_by_host():
    problems = ["host a: x; fix it", "host b: x; fix it", "host a: x; fix it", "y", "y"]
    assert by_host(problems) == ["hosts a, b: x; fix it", "y"]
    (many,) = by_host([f"host n{number}: x" for number in range(100)])
    assert many == f"hosts {', '.join(f'n{number}' for number in range(10))} and 90 more: x"
    assert by_host(by_host(problems)) == by_host(problems)
