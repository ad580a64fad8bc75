"""Verdicts as JUnit XML, which CI systems show: `junit.xml`."""

import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from tunesmith.evaluation.success import Verdict

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_junit(verdicts: Sequence[Verdict], recipe: str, path: Path) -> None:
    """Write a test suite with a case for each threshold.

    A miss is a failure, and so is what too few rows leave undecided; what waits for people is skipped.

    Args:
        verdicts: What was decided.
        recipe: Names the suite.
        path: Where.
    """
    failed = sum(not verdict.passes for verdict in verdicts)
    skipped = sum(verdict.state == "pending" for verdict in verdicts)
    counts = {"tests": str(len(verdicts)), "failures": str(failed), "errors": "0", "skipped": str(skipped)}
    suites = ElementTree.Element("testsuites", counts)
    suite = ElementTree.SubElement(suites, "testsuite", {"name": _xml(recipe), **counts})
    for verdict in verdicts:
        names = {"classname": f"{_xml(recipe)}.success", "name": _xml(verdict.key), "time": "0"}
        case = ElementTree.SubElement(suite, "testcase", names)
        said = _xml(verdict.sentence + (f"\nbecause: {verdict.because}" if verdict.because else ""))
        if verdict.state == "pending":
            ElementTree.SubElement(case, "skipped", {"message": said})
        elif not verdict.passes:
            ElementTree.SubElement(case, "failure", {"message": said, "type": verdict.state})
        else:
            ElementTree.SubElement(case, "system-out").text = said
    ElementTree.ElementTree(suites).write(path, encoding="utf-8", xml_declaration=True)


def _xml(text: str) -> str:
    """A text without the characters that XML cannot say."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
