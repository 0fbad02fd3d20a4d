# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.model import (
    IPSET,
    POLICY,
    ZONE,
    AddedPorts,
    Change,
    PreviousBinding,
    Record,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host.files import FileCopy
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host.networkmanager import (
    Profile,
)
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("before", "after", "reload"),
    [
        (None, {"entries": []}, True),
        ({"entries": []}, None, True),
        ({"entries": ["192.0.2.1"]}, {"entries": ["192.0.2.2"]}, False),
        ({"rich_rules": []}, {"rich_rules": ["r"]}, False),
        ({"zone": ""}, {"zone": "public"}, False),
        ({"ports": ["80/tcp"]}, {}, False),
        ({"priority": -1}, {"priority": -2}, True),
        ({"target": "CONTINUE"}, {"target": "DROP"}, True),
        ({"type": "hash:ip"}, {"type": "hash:net"}, True),
        ({"family": "inet", "entries": []}, {"family": "inet6", "entries": ["::1"]}, True),
    ],
)
def test_only_what_the_running_firewalld_can_not_take_needs_a_reload(before, after, reload):
    assert Change((ZONE, "k3s-cluster"), before, after).needs_reload is reload


# The record as a file

NAMES = st.text("abcz-019", min_size=1, max_size=8)
BUILTIN = st.none() | st.just({"services": ["ssh"]})
PORT_LISTS = st.lists(st.sampled_from(["80/tcp", "53/udp", "1-9/tcp"]), unique=True)
PROFILES = st.builds(
    Profile,
    uuid=NAMES,
    path=NAMES,
    file=st.builds(FileCopy, path=NAMES, content=st.none() | st.binary(max_size=9)),
    digest=NAMES,
)
RECORDS = st.builds(
    Record,
    bindings=st.dictionaries(
        NAMES,
        st.builds(PreviousBinding, NAMES, NAMES, st.none() | PROFILES),
        max_size=3,
    ),
    objects=st.frozensets(st.tuples(st.sampled_from([IPSET, ZONE, POLICY]), NAMES), max_size=4),
    ports=st.dictionaries(
        NAMES, st.builds(AddedPorts, PORT_LISTS, PORT_LISTS, BUILTIN), max_size=3
    ),
)


@given(RECORDS)
def test_a_record_is_read_as_it_was_written(record):
    assert Record.from_dict(record.to_dict()) == record


BROKEN_RECORDS = [
    {"objects": [["zone", 1]]},
    {"objects": [["service", "x"]]},
    {"objects": ["zone"]},
    {"bindings": {"eth0": {"permanent": None, "runtime": "", "profile": None}}},
    {"ports": {"public": {"added": 5, "before": []}}},
    {"ports": {"public": {"added": "80/tcp", "before": []}}},
    {"ports": {"public": {"added": ["x/tcp"], "before": []}}},
    {"ports": {"public": {"added": [], "before": [], "builtin": 1}}},
]


@pytest.mark.parametrize("broken", BROKEN_RECORDS, ids=str)
def test_a_record_of_other_types_is_refused(broken):
    with pytest.raises((KeyError, TypeError, ValueError)):
        Record.from_dict({**Record().to_dict(), **broken})
