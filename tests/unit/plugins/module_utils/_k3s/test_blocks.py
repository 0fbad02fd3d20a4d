# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re

import pytest
import yaml
from ansible_collections.edgeops.k3s_network.plugins.module_utils._k3s.blocks import (
    UnreadableError,
    cut,
)
from hypothesis import example, given
from hypothesis import strategies as st

KEYS = ("node-ip", "i", "flannel-iface", "cluster-cidr")
SECRET = "K10c0ffee::server:5ec2e7"
QUOTE = "has a quote or a bracket that is not closed on that line"
ANCHOR = "has an anchor or an alias"
DOCUMENT = "begins another document or a directive"
NO_KEY = "is not 'key: value'"
TAG = "has a tag or a complex key"
TEXT = "is a block of text"
SHAPE = "is neither one line nor a list of such values"
TABS = "has a tab"
CONTROL = "it has control characters or a byte order mark"
REASONS = (QUOTE, ANCHOR, DOCUMENT, NO_KEY, TAG, TEXT, SHAPE, TABS, CONTROL)


def values(text):
    """Return what the controller makes of the blocks, by key as K3s names it."""
    return {
        block.key + "+" * block.append: yaml.load(block.text, yaml.BaseLoader)["value"]
        for block in cut(text, KEYS)
    }


def reason(text):
    with pytest.raises(UnreadableError) as error:
        cut(text, KEYS)
    assert SECRET not in str(error.value)
    return re.sub(r"^line \d+ |^the value of [a-z+-]+ ", "", str(error.value))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(
            (text, "10.0.0.1")
            for text in (
                "node-ip: 10.0.0.1",
                "node-ip: 10.0.0.1\r\n",
                "node-ip:   10.0.0.1   # comment\n",
                "node-ip : '10.0.0.1'\n",
                'node-ip: "10.0.0.1" # comment\n',
                "'node-ip': 10.0.0.1\n",
                '"node-ip": 10.0.0.1\n',
                "# comment\n---\nnode-ip: 10.0.0.1\n",
                "# a\ttab\nnode-ip: 10.0.0.1\n",
                'etcd-snapshot-schedule-cron: "0 */12 * * *"\nnode-ip: 10.0.0.1\n',
                "token: a-&b *c\nnode-ip: 10.0.0.1\n",
                "x: [a, 'b &c', d*]\nnode-ip: 10.0.0.1\n",
                "--- # comment\nnode-ip: 10.0.0.1\n",
                "node-ip: 10.0.0.9\nnode-ip: 10.0.0.1\n",
            )
        ),
        *(
            (text, ["10.0.0.1", "fd00::1"])
            for text in (
                "node-ip: [10.0.0.1, fd00::1]",
                "node-ip: [ '10.0.0.1' , \"fd00::1\" , ] # comment\n",
                "node-ip:\n- 10.0.0.1\n- fd00::1\n",
                "node-ip: # comment\n\n  # comment\n  - '10.0.0.1'   # comment\n  - fd00::1\n\n",
            )
        ),
        ("node-ip: 10.0.0.1,fd00::1", "10.0.0.1,fd00::1"),
        ("node-ip: '10.0.0.1, fd00::1'", "10.0.0.1, fd00::1"),
        ("node-ip:", ""),
        ("node-ip: ~", "~"),
        ("node-ip: []", []),
        ("node-ip: 2001:10:20:30:40:50:10:1", "2001:10:20:30:40:50:10:1"),
    ],
)
def test_cut_spellings_of_a_value_are_read(text, value):
    assert values(text) == {"node-ip": value}


@pytest.mark.parametrize("text", ["", "\n# comment\n", "---\n", f"token: {SECRET}\nserver: a\n"])
def test_cut_file_without_the_keys_has_no_blocks(text):
    assert cut(text, KEYS) == []


def test_cut_key_that_appends_is_told_from_one_that_replaces():
    text = "node-ip: 10.0.0.1\n'node-ip+': [fd00::1]\ni: 10.0.0.2\nd: /srv\n"
    assert values(text) == {"node-ip": "10.0.0.1", "node-ip+": ["fd00::1"], "i": "10.0.0.2"}


def test_cut_keys_below_other_keys_are_not_read():
    text = """\
node-label:
  - node-ip: 10.0.0.1
x:
  node-ip: 10.0.0.3
script: |
  node-ip: 10.0.0.4
  it's {

plain: more
  node-ip, it's "more
kubelet-arg: [a=b, it's, 'c]', "}"] # d
y: {a: "}", 'b':"]"}
flannel-iface: eth1
"""
    assert values(text) == {"flannel-iface": "eth1"}


ODD = [
    ("node-ip:\t10.0.0.1", TABS),
    ("x:\n\ty: a", TABS),
    *((f"x: a{character}b", CONTROL) for character in "\x00\x1b\x7f\x85\u2028\ufeff\r"),
    ("\ufeffnode-ip: 10.0.0.1", CONTROL),
    ("x: a\n---\nnode-ip: 10.0.0.1", DOCUMENT),
    ("x: a\n...", DOCUMENT),
    ("%YAML 1.2\n---\nx: a", DOCUMENT),
    ("--- {x: a}", DOCUMENT),
    ("? node-ip\n: 10.0.0.1", TAG),
    ("node-ip: !!str 10.0.0.1", TAG),
    ("x: !vault a", TAG),
    ("node-ip: &a 10.0.0.1", ANCHOR),
    ("node-ip: *a", ANCHOR),
    ("x: &a [b]", ANCHOR),
    ("x:\n  <<: *a", ANCHOR),
    ("x: [a,\n  b]", QUOTE),
    ("x: [a #]", QUOTE),
    ("x: [#]", QUOTE),
    ("x: {\nnode-ip: 10.0.0.5, z: a}", QUOTE),
    ("x: 'a\nnode-ip: 10.0.0.6'", QUOTE),
    ('node-ip: "10.0.0.1\n  "', QUOTE),
    ("node-ip: [10.0.0.1] a", QUOTE),
    ("node-ip: '10.0.0.1'#a", QUOTE),
    ('"no\\x64e-ip": 10.0.0.1', QUOTE),
    ("{x: a}", NO_KEY),
    ("- x", NO_KEY),
    (f"  token: {SECRET}", NO_KEY),
    ("x:a", NO_KEY),
    ("node-ip: |\n  10.0.0.1", TEXT),
    ("node-ip: >-\n  10.0.0.1", TEXT),
    ("node-ip:\n  - |\n    10.0.0.1", TEXT),
    ("node-ip: 10.0.0.1\n  10.0.0.2", SHAPE),
    ("node-ip:\n  10.0.0.1", SHAPE),
    ("node-ip:\n  a: 10.0.0.1", SHAPE),
    ("node-ip:\n  - 10.0.0.1\n    10.0.0.2", SHAPE),
    ("node-ip:\n  - - 10.0.0.1", SHAPE),
    ("node-ip: {a: b}", SHAPE),
]


@pytest.mark.parametrize(("text", "expected"), ODD)
def test_cut_file_of_an_odd_kind_is_unreadable(text, expected):
    assert reason(f"{text}\ntoken: {SECRET}\n") == expected


def test_cut_reason_names_the_line():
    with pytest.raises(UnreadableError, match=r"^line 3 has an anchor"):
        cut(f"token: {SECRET}\n\nnode-ip: &a 10.0.0.1\n", KEYS)


def test_cut_value_of_more_than_4096_characters_is_unreadable():
    assert len(values(f"node-ip: {'a' * 4089}")["node-ip"]) == 4089
    assert reason(f"node-ip: {'a' * 4090}") == "has more than 4096 characters"
    assert cut(f"x: {'a' * 9999}", KEYS) == []


@pytest.mark.parametrize(
    "text",
    [
        f"node-ip: 10.0.0.1\n token: {SECRET}",
        f"node-ip:\n  - 10.0.0.1\n  token: {SECRET}",
        f"node-ip:\n  - 10.0.0.1\n  - token: {SECRET}",
        f"node-ip:\n  - 10.0.0.1\n  - 'token': {SECRET}",
        f"node-ip: token: {SECRET}",
        f"node-ip: a:b: {SECRET}",
        f"node-ip: {{token: {SECRET}}}",
        f"node-ip:\n token: {SECRET}",
    ],
)
def test_cut_token_behind_a_wrong_indentation_stays(text):
    assert reason(text) == SHAPE


def test_cut_comments_stay():
    text = f"""\
# {SECRET}
node-ip:  # {SECRET}
  # {SECRET}
  - 10.0.0.1 # {SECRET}
# {SECRET}
  - '10.0.0.2'   # {SECRET}
  # {SECRET}
token: {SECRET}
cluster-cidr: [10.42.0.0/16] # {SECRET}
"""
    assert SECRET not in repr(cut(text, KEYS))


# Files as people write them

PLAIN = st.sampled_from(["10.0.0.1", "fd00::1", "10.0.0.1,fd00::1", "eth1.5", "it's", "a#b", "ä"])
COMMENT = st.sampled_from(["", "", " # it's [a] comment: \"x", "   "])


@st.composite
def scalars(draw, flow=False):
    value = draw(PLAIN)
    quoted = [f'"{value}"', "'{}'".format(value.replace("'", "''"))]
    return draw(st.sampled_from(quoted if flow and "," in value else [value, *quoted]))


@st.composite
def our_entries(draw):
    name = draw(st.sampled_from([*KEYS, "node-ip+", "cluster-cidr+"]))
    key = draw(st.sampled_from([name, f"'{name}'", f'"{name}"', f"{name} "]))
    comment = draw(COMMENT)
    kind = draw(st.sampled_from(["scalar", "flow", "block", "nothing"]))
    if kind == "scalar":
        return f"{key}:{' ' * draw(st.integers(1, 3))}{draw(scalars())}{comment}"
    if kind == "flow":
        items = draw(st.lists(scalars(flow=True), max_size=3))
        return f"{key}: [{draw(st.sampled_from([',', ', ', ' , '])).join(items)}]{comment}"
    if kind == "block":
        indent = " " * draw(st.integers(0, 3))
        between = draw(st.sampled_from(["\n", "\n\n", "\n# it's\n", f"{comment}\n"]))
        items = draw(st.lists(scalars(), min_size=1, max_size=3))
        return f"{key}:{comment}\n" + between.join(f"{indent}- {item}" for item in items)
    return f"{key}:{comment}"


OTHERS = st.sampled_from(
    [
        "# it's a comment",
        "",
        f"token: {SECRET}",
        "token: 'a # b'",
        'token: "a \\" node-ip: b"',
        "write-kubeconfig-mode: 0644",
        "cluster-init: true",
        "tls-san: [a, 'b', \"c]\"]",
        "tls-san:\n- a\n- 'b: c'\n- it's",
        "kubelet-arg:\n  - eviction-hard=memory.available<5%,nodefs.available<10%\n  # node-ip: x\n"
        '  - "feature-gates=A=true"',
        "x: |\n  node-ip: 10.0.0.9\n\n    more, it's\n",
        "x: >-\n node-ip: 10.0.0.9",
        "x:\n- |\n  it's\n- b",
        "x:\n  y:\n    node-ip: 10.0.0.9\n  z: {a: [b], 'c': \"}\"}",
        "x: more\n  it's \"more\n\n  node-ip",
        "x:",
        "node-ips: 10.0.0.9",
        "my-node-ip: 10.0.0.9",
        "server: https://[fd00::9]:6443",
    ]
)


@st.composite
def files(draw):
    """Return the text of a file and whether it has only plain kinds."""
    plain = draw(st.lists(st.one_of(our_entries(), OTHERS), max_size=6))
    odd = draw(st.lists(st.sampled_from([text for text, _reason in ODD]), max_size=2))
    text = draw(st.sampled_from(["", "", "---\n", "# comment\n--- # comment\n"]))
    text += "\n".join(draw(st.permutations(plain + odd)))
    return text.replace("\n", draw(st.sampled_from(["\n", "\r\n"]))), not odd


def assert_never_another_value(text):
    """Compare with PyYAML's reading of the whole file; return whether the file is readable."""
    try:
        whole = yaml.load(text, yaml.BaseLoader)
    except (yaml.YAMLError, ValueError):
        # K3s does not start with such a file.
        whole = None
    try:
        blocks = cut(text, KEYS)
    except UnreadableError as error:
        assert str(error).endswith(REASONS)
        return False
    assert SECRET not in repr(blocks)
    if isinstance(whole, dict):
        expected = {k: v for k, v in whole.items() if str(k).removesuffix("+") in KEYS}
        assert values(text) == expected
    elif whole:
        assert blocks == []
    return True


@given(files())
def test_cut_files_as_people_write_them_agree_with_pyyaml(file):
    text, plain = file
    assert assert_never_another_value(text) or not plain


FRAGMENTS = st.sampled_from(
    [
        *("node-ip", "node-ip: ", "\nnode-ip: 10.0.0.1\n", "\ni: fd00::1", "+", "10.0.0.1", "a"),
        *(":", ": ", ",", " ", "  ", "\t", "\n", "\n  ", "\n    ", "\r\n", "\r", "\u2028", "-"),
        *("- ", "\n- ", "\n  - ", "'", '"', "\\", "[", "]", "{", "}", "#", " # ", "|", "|\n", ">-"),
        *("\n---\n", "\n...\n", "&a", "*a", "!b", "? ", "%", "@", "<<: ", "b: c", "~", "it's"),
        *("\nx: ", '\ny: "', "\nz: '", '"\n', "'\n", "x: |\n", "tls-san: [", "]\n", "\ufeff"),
        *("\ncluster-cidr: ", "'10.0.0.1'", '"10.0.0.2"', "[a, b]", "\ntoken: "),
    ]
)


@given(st.one_of(st.lists(FRAGMENTS, max_size=16).map("".join), st.text(max_size=30)))
@example("x: [#'\n]\nnode-ip: 10.0.0.1\n#'")
@example("? node-ip # comment\n: 10.0.0.1")
@example("{i}")
def test_cut_random_fragments_agree_with_pyyaml(text):
    assert_never_another_value(text)
