# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Data as one text that Ansible hands from task to task without looking into it.

ansible-core examines every value of a structure again for each host that uses it, and up to 2.18
makes a structure of any text that begins with a brace.
"""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any


def pack(data: Any) -> str:
    """Return data that JSON can hold as one text of letters, digits, C(+), C(/) and C(=)."""
    return base64.b64encode(zlib.compress(json.dumps(data).encode())).decode()


def unpack(text: str) -> Any:
    """Return the data of a text that pack() made."""
    return json.loads(zlib.decompress(base64.b64decode(text)))
