# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How examples are read out of a page."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.edgeops.k3s_network.molecule.examples import (
    Command,
    ExampleError,
    File,
    examples,
    missing,
)

RST = """\
Title
=====

1. Write it::colon in the text.

   .. code-block:: yaml
      :caption: group_vars/all.yml

      a:
        - 1

      b: 2

   Then:

   .. code-block:: console

      $ first --one \\
          --two
      ...
        shown
      $ second

After.
"""
MARKDOWN = """\
# Title

```console
$ first
shown
```

An `inventory.yml`, or `that.yml`:

```yaml
a: 1
```
"""


def page(directory: Path, name: str, text: str) -> Path:
    path = directory / name
    path.write_text(text)
    return path


def test_files_and_commands_of_restructured_text(tmp_path):
    assert examples(page(tmp_path, "page.rst", RST)) == [
        File("group_vars/all.yml", "a:\n  - 1\n\nb: 2\n"),
        Command("first --one     --two", ("...", "  shown")),
        Command("second", ()),
    ]


def test_files_and_commands_of_markdown(tmp_path):
    assert examples(page(tmp_path, "page.md", MARKDOWN)) == [
        Command("first", ("shown",)),
        File("that.yml", "a: 1\n"),
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("page.rst", ".. code-block:: yaml\n\n   a: 1\n"),
        ("page.rst", ".. code-block:: python\n   :caption: a.py\n\n   a = 1\n"),
        ("page.rst", ".. code-block:: console\n\n   no prompt\n"),
        ("page.rst", "So::\n\n   $ literal\n"),
        ("page.rst", "::\n\n   $ literal\n"),
        ("page.md", "Text:\n\n```yaml\na: 1\n```\n"),
        ("page.md", "```\n$ nameless\n```\n"),
        ("page.md", "```console\nno prompt\n```\n"),
        ("page.md", "```python title\na = 1\n```\n"),
    ],
)
def test_a_block_that_could_not_be_tested_is_refused(tmp_path, name, text):
    with pytest.raises(ExampleError, match=rf"{name}:\d+: "):
        examples(page(tmp_path, name, text))


@pytest.mark.parametrize(
    ("shown", "first_missing"),
    [
        ((), ""),
        (("...", "host1 : ok=5 changed=1", "..."), ""),
        (("host1 : ... changed=1 ...",), ""),
        (("host1 : ... changed=1",), ""),
        (("host1 : ... changed=2 ...",), "host1 : ... changed=2 ..."),
        (("host2 : ok=1 changed=0", "host1 : ... changed=1 ..."), "host1 : ... changed=1 ..."),
        (("ok=5",), "ok=5"),
        (("+ [a]",), ""),
    ],
)
def test_shown_lines_are_looked_for_in_their_order(shown, first_missing):
    output = "TASK\n+ [a]\nhost1   : ok=5    changed=1\nhost2   : ok=1    changed=0\n"
    assert missing(output, shown) == first_missing
