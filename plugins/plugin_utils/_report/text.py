# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Text of the report: makes it safe to print, shortens it and counts. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence


def clip(text: str, width: int) -> str:
    """Shorten a text to at most C(width) characters."""
    return text if len(text) <= width else f"{text[: width - 3]}..."


def plural(count: int, word: str) -> str:
    """Return a number with its noun."""
    return f"{count} {word}{'' if count == 1 else 's'}"


def some(texts: Sequence[str], limit: int) -> str:
    """Return the first texts and how many more there are."""
    if len(texts) <= limit + 1:
        return ", ".join(texts)
    return f"{', '.join(texts[:limit])} and {len(texts) - limit} more"
