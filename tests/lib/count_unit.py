#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Count what the unit tests of one build really ran.

usage: count_unit.py TESTLOG_JSON OUTPUT_FOLDER
Prints "PASSED FAILED SKIPPED" and then a line for each failure.  The programs speak TAP, so each cmocka function counts
one; a program that crashes, hangs or is cut short counts as one failure more if none of its functions failed.
"""
import json
import re
import sys

passed = failed = skipped = 0
notes = []
with open(sys.argv[1], encoding="utf-8") as log:
    for line in log:
        test = json.loads(line)
        name = test["name"]
        out = test.get("stdout") or ""
        lines = re.findall(r"^(ok|not ok)\b *(.*)$", out, re.M)
        bad_before = failed
        for verdict, rest in lines:
            if verdict == "not ok":
                failed += 1
                notes.append(f"{name}: {rest}")
            elif re.search(r"#\s*skip", rest, re.I):
                # Allowed only for what the kernel lacks, as in the bats suites.
                if re.search(r"kernel", rest, re.I):
                    skipped += 1
                else:
                    failed += 1
                    notes.append(f"{name}: skipped without naming a kernel feature: {rest}")
            else:
                passed += 1
        result = test["result"]
        if result not in ("OK", "EXPECTEDFAIL", "SKIP") and failed == bad_before:
            failed += 1
            notes.append(f"{name}: {result} (exit status {test.get('returncode')})")
        elif result == "OK" and not lines:
            passed += 1
        plan = re.search(r"^1\.\.(\d+)", out, re.M)
        if plan and int(plan.group(1)) > len(lines) and failed == bad_before:
            failed += 1
            notes.append(f"{name}: ran {len(lines)} of {plan.group(1)} tests")
        if failed > bad_before:
            with open(f"{sys.argv[2]}/unit-{re.sub(r'[^A-Za-z0-9_.-]', '_', name)}.log", "w", encoding="utf-8") as f:
                f.write(out + (test.get("stderr") or ""))
print(passed, failed, skipped)
for note in notes:
    print(note)
