# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The attributes that modules share."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and says what it would change without changing it.
  diff_mode:
    description: Returns the details of what it has changed, or would change, in diff mode.
  idempotent:
    description: When run twice in a row, the second run changes nothing and says so.
"""

    # For modules that only read: use together with the two others.
    INFO_MODULE = r"""
options: {}
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
"""

    # For modules that change a node: use together with the two others.
    STATE_MODULE = r"""
options: {}
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
"""

    ACTIONGROUP = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/edgeops.k3s_network.all) in C(module_defaults) to set defaults for it.
    support: full
    membership:
      - edgeops.k3s_network.all
"""
