# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a report has to say: of a port, and besides ports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PREPARE = "run the playbook prepare"

OPEN = frozenset({"open"})
REFUSED = frozenset({"refused"})
REJECTED = frozenset({"rejected"})
TIMEOUT = frozenset({"timeout"})
UNREACHABLE = frozenset({"unreachable", "timeout", "rejected"})
WRONG_HOST = frozenset({"wrong_host"})
NOT_DETERMINED = frozenset({"error"})

ERROR = "error"
WARNING = "warning"
LEVELS = (ERROR, WARNING)
"""Those that are false alarms if nothing is wrong."""


@dataclass(frozen=True)
class Cause:
    """Words of the true cause and its remedy, and words of remedies that change nothing."""

    words: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()

    def is_in(self, text: str) -> bool:
        """Tell whether a text has all words and no forbidden one."""
        return all(word in text for word in self.words) and not any(
            word in text for word in self.forbidden
        )

    def __str__(self) -> str:
        """Return the words for a message."""
        but = f", without {', '.join(self.forbidden)}" if self.forbidden else ""
        return f"{', '.join(self.words)}{but}"


@dataclass(frozen=True)
class Outcome:
    """What a report may say of a port; the detail of a failure must have the cause."""

    observed: frozenset[str]
    cause: Cause = Cause()


@dataclass(frozen=True)
class Finding:
    """A finding that a report must have."""

    level: str
    host: str
    cause: Cause

    def is_told_by(self, finding: Mapping[str, Any], host: str) -> bool:
        """Tell whether a finding of a report is this one, for one of its hosts."""
        return (
            finding["level"] == self.level
            and host == self.host
            and self.cause.is_in(f"{finding['cause']}; {finding['remedy']}")
        )

    def __str__(self) -> str:
        """Return the finding for a message."""
        return f"{self.level} of {self.host}: {self.cause}"
