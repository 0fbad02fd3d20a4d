# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Turns a report into JUnit's XML, as GitLab and Jenkins show it. Pure functions.

A suite for the findings, if there are any, and one for each destination, since most failures are
fixed there. Jenkins groups by class and GitLab prints it as the suite, so the class of a case is
its destination as well. A case is a finding or a check. Of a report of more than SINGLE checks
those that went well are one case for all sources, and of more than SINGLE failures those of one
cause at a destination are. The order of elements and the attributes are those that both Ant's and
Jenkins' schema allow.
"""

from __future__ import annotations

import datetime
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe import prober

from .._answers.values import clean
from .causes import causes, failed
from .evaluate import Check, Report
from .findings import CLUSTER, ERROR, Finding, has_errors
from .terminal import headline
from .text import clip, some

SINGLE = 5000
_PACKAGE = "k3s_network"
_NAMED = 20
_NAMED_IN_A_NAME = 4
_NAME = 240
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
    if report["findings"]:
        root.append(_findings(report["findings"], when))
    suites = defaultdict(list)
    for case in _cases(report["checks"]):
        suites[case.checks[0]["destination"]].append(case)
    for number, (destination, cases) in enumerate(suites.items(), len(root)):
        root.append(_suite(number, destination, cases, when))
    if not suites:
        # Some take a file without a single case for an error of their own.
        root.append(_nothing(len(root), report, when))
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
    properties = {"checks": len(checks), "failed": len(failed(checks))}
    suite = _empty_suite(number, destination, destination, when, properties)
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


def _findings(findings: Sequence[Finding], when: datetime.datetime) -> ElementTree.Element:
    """Return the suite of the findings: those of level error fail.

    Ant's schema allows no output of a case, so that of the suite holds the others.
    """
    errors = sum(finding["level"] == ERROR for finding in findings)
    properties = {"findings": len(findings), "failed": errors}
    suite = _empty_suite(0, "findings", CLUSTER, when, properties)
    suite.set("tests", str(len(findings)))
    suite.set("failures", str(errors))
    suite.set("errors", "0")
    names: Counter[str] = Counter()
    passed = []
    for finding in findings:
        name = clip(
            f"{finding['level']}: {some(finding['hosts'], _NAMED_IN_A_NAME) or CLUSTER}: "
            f"{finding['cause']}",
            _NAME,
        )
        names[name] += 1
        case = _test("findings", name if names[name] == 1 else f"{name} ({names[name]})")
        suite.append(case)
        text = "\n".join(
            clean(line)
            for line in (
                f"{finding['level']} at {some(finding['hosts'], _NAMED) or CLUSTER}",
                finding["cause"],
                finding["remedy"],
            )
        )
        if finding["level"] == ERROR:
            message = clean(finding["cause"])
            ElementTree.SubElement(case, "failure", type="finding", message=message).text = text
        else:
            passed.append(text)
    return _close(suite, "\n\n".join(passed))


def _nothing(number: int, report: Report, when: datetime.datetime) -> ElementTree.Element:
    # A cluster of a single node is ok without a check; its findings have cases of their own.
    is_error = not report["ok"] and not has_errors(report["findings"])
    suite = _empty_suite(number, CLUSTER, CLUSTER, when, {"checks": 0, "failed": 0})
    suite.set("tests", "1")
    suite.set("failures", "0")
    suite.set("errors", "1" if is_error else "0")
    suite.set("skipped", "0" if is_error else "1")
    case = _test(CLUSTER, "connectivity")
    text = headline(report)
    if not is_error:
        ElementTree.SubElement(case, "skipped").text = text
    else:
        ElementTree.SubElement(case, "error", type=prober.ERROR, message=text).text = text
    suite.append(case)
    return _close(suite)


def _empty_suite(
    number: int,
    name: str,
    host: str,
    when: datetime.datetime,
    properties: Mapping[str, int],
) -> ElementTree.Element:
    suite = ElementTree.Element(
        "testsuite",
        id=str(number),
        name=clean(name),
        package=_PACKAGE,
        hostname=clean(host),
        timestamp=when.strftime("%Y-%m-%dT%H:%M:%S"),
        time=_TIME,
    )
    parent = ElementTree.SubElement(suite, "properties")
    for key, value in properties.items():
        ElementTree.SubElement(parent, "property", name=key, value=str(value))
    return suite


def _test(destination: str, name: str) -> ElementTree.Element:
    # A dot would begin another package.
    return ElementTree.Element(
        "testcase",
        name=clean(name),
        classname=f"{_PACKAGE}.{clean(destination).replace('.', '_')}",
        time=_TIME,
    )


def _close(suite: ElementTree.Element, output: str = "") -> ElementTree.Element:
    ElementTree.SubElement(suite, "system-out").text = output
    ElementTree.SubElement(suite, "system-err")
    return suite
