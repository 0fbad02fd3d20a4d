# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Turns a report into JUnit's XML, as GitLab and Jenkins show it. Pure functions.

A suite for each destination, since that is where nearly all failures are mended; Jenkins groups by
class, GitLab prints it as the suite, so the class of a case is its destination as well. A case is a
check. Of a report of more than SINGLE checks those that went well are one case for all sources, and
of more than SINGLE failures those of one cause at a destination are. The order of elements and the
attributes are those that both Ant's and Jenkins' schema allow.
"""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe import prober

from .causes import causes, failed
from .evaluate import Check, Report
from .terminal import headline
from .text import clean

SINGLE = 5000
_PACKAGE = "k3s_network"
_NAMED = 20
# All probes of a source run at once, so a check has no time of its own.
_TIME = "0"
_Subject = tuple[str, str, str, str, str, str]


@dataclass(frozen=True)
class _Case:
    """A test case; C(checks) are of one destination and all came to the same."""

    checks: Sequence[Check]
    name: str
    text: str = ""


def junit(report: Report, when: datetime.datetime) -> bytes:
    """Return report.xml; C(when) is in UTC."""
    root = ElementTree.Element("testsuites")
    suites = defaultdict(list)
    for case in _cases(report["checks"]):
        suites[case.checks[0]["destination"]].append(case)
    for number, (destination, cases) in enumerate(suites.items()):
        root.append(_suite(number, destination, cases, when))
    if not suites:
        # Some take a file without a single case for an error of their own.
        root.append(_nothing(report, when))
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _cases(checks: Sequence[Check]) -> Iterable[_Case]:
    failures = failed(checks)
    if len(failures) > SINGLE:
        yield from _alike(failures)
    else:
        yield from map(_single, failures)
    good = (check for check in checks if check["ok"])
    if len(checks) > SINGLE:
        yield from _well(good)
    else:
        yield from map(_single, good)


def _single(check: Check) -> _Case:
    return _Case([check], _name(check["source"], check), check["detail"])


def _well(checks: Iterable[Check]) -> Iterable[_Case]:
    groups: dict[_Subject, list[Check]] = defaultdict(list)
    for check in checks:
        groups[_subject(check)].append(check)
    for group in groups.values():
        yield _Case(group, _name("all others", group[0]))


def _alike(failures: Sequence[Check]) -> Iterable[_Case]:
    for number, cause in enumerate(causes(failures), 1):
        groups: dict[_Subject, list[Check]] = defaultdict(list)
        for check in cause.checks:
            groups[_subject(check)].append(check)
        for group in groups.values():
            sources = list(dict.fromkeys(check["source"] for check in group))
            named = ", ".join(sources[:_NAMED])
            more = f" and {len(sources) - _NAMED} more" if len(sources) > _NAMED else ""
            yield _Case(
                group, _name(f"cause {number}", group[0]), f"{cause.text}\nfrom {named}{more}"
            )


def _subject(check: Check) -> _Subject:
    return (
        check["destination"], check["address"],
        check["rule"], check["port"], check["protocol"], check["expected"],
    )  # fmt: skip


def _name(source: str, check: Check) -> str:
    """Return a name that is the same in the next run, so that a server shows a case's history."""
    return (
        f"{source} -> {check['destination']} ({check['address']}): {check['rule']} "
        f"{check['port']}/{check['protocol']} {check['expected']}"
    )


def _suite(
    number: int, destination: str, cases: Sequence[_Case], when: datetime.datetime
) -> ElementTree.Element:
    wrong = [case.checks[0] for case in cases if not case.checks[0]["ok"]]
    errors = sum(check["observed"] == prober.ERROR for check in wrong)
    checks = [check for case in cases for check in case.checks]
    suite = _empty_suite(number, destination, when, checks)
    suite.set("tests", str(len(cases)))
    suite.set("failures", str(len(wrong) - errors))
    suite.set("errors", str(errors))
    for case in cases:
        suite.append(_element(case))
    return _close(suite)


def _element(case: _Case) -> ElementTree.Element:
    check = case.checks[0]
    element = _test(check["destination"], case.name)
    if not check["ok"]:
        said = ElementTree.SubElement(
            element,
            "error" if check["observed"] == prober.ERROR else "failure",
            type=check["observed"],
            message=clean(case.text.partition("\n")[0]) or check["observed"],
        )
        said.text = "\n".join(
            [
                clean(
                    f"{check['rule']} {check['port']}/{check['protocol']} at "
                    f"{check['destination']} ({check['address']}): expected {check['expected']}, "
                    f"observed {check['observed']}"
                ),
                *map(clean, case.text.split("\n")),
            ]
        )
    return element


def _nothing(report: Report, when: datetime.datetime) -> ElementTree.Element:
    suite = _empty_suite(0, "cluster", when, [])
    suite.set("tests", "1")
    suite.set("failures", "0")
    suite.set("errors", "0" if report["ok"] else "1")
    suite.set("skipped", "1" if report["ok"] else "0")
    case = _test("cluster", "connectivity")
    text = headline(report)
    if report["ok"]:
        ElementTree.SubElement(case, "skipped").text = text
    else:
        ElementTree.SubElement(case, "error", type=prober.ERROR, message=text).text = text
    suite.append(case)
    return _close(suite)


def _empty_suite(
    number: int, destination: str, when: datetime.datetime, checks: Sequence[Check]
) -> ElementTree.Element:
    suite = ElementTree.Element(
        "testsuite",
        id=str(number),
        name=clean(destination),
        package=_PACKAGE,
        hostname=clean(destination),
        timestamp=when.strftime("%Y-%m-%dT%H:%M:%S"),
        time=_TIME,
    )
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in (("checks", len(checks)), ("failed", len(failed(checks)))):
        ElementTree.SubElement(properties, "property", name=name, value=str(value))
    return suite


def _test(destination: str, name: str) -> ElementTree.Element:
    # A dot would begin another package.
    return ElementTree.Element(
        "testcase",
        name=clean(name),
        classname=f"{_PACKAGE}.{clean(destination).replace('.', '_')}",
        time=_TIME,
    )


def _close(suite: ElementTree.Element) -> ElementTree.Element:
    ElementTree.SubElement(suite, "system-out")
    ElementTree.SubElement(suite, "system-err")
    return suite
