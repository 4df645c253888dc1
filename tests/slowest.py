#!/usr/bin/env python3
"""Prints the slowest tests of nextest's last run, from its JUnit report."""

import sys
import xml.etree.ElementTree as tree
from pathlib import Path

target = Path(sys.argv[1] if len(sys.argv) > 1 else "target")
cases = []
for suite in tree.parse(target / "nextest/default/junit.xml").getroot():
    for case in suite.iter("testcase"):
        cases.append((float(case.get("time")), suite.get("name"), case.get("name")))
cases.sort(reverse=True)
print(f"{len(cases)} tests, {sum(seconds for seconds, _, _ in cases):.0f} s in all; the slowest:")
for seconds, suite, name in cases[:20]:
    print(f"{seconds:7.1f} s  {suite} {name}")
