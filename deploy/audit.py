"""`make audit`: known vulnerabilities of the pinned packages, by pip-audit; where they cannot be looked up it says so.

Exit code 1 for a known vulnerability alone: an index without vulnerability data must not stop a build, but it must not
pass for an audit either. Such an index is not asked about every package: the first file, a short one, tells.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

_OPTIONS = ("--require-hashes", "--disable-pip", "--progress-spinner=off", "--format=json", "--timeout=30")


def main(files: Sequence[str]) -> int:
    """Audit each of *files*, until one of which nothing is known; 1 if a vulnerability is known."""
    outcome = 0
    for number, file in enumerate(files, start=1):
        audited, found = _audit(file)
        outcome = max(outcome, found)
        if not audited:
            for other in files[number:]:
                print(f"{other}: NOT AUDITED, as nothing is known of {file}.")
            break
    return outcome


def _audit(file: str) -> tuple[int, int]:
    """How many packages could be audited, and 1 if a vulnerability is known of one."""
    command = [sys.executable, "-m", "pip_audit", *_OPTIONS, "-r", file]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own files
    try:
        packages: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        last = (done.stderr.strip().splitlines() or ["no answer"])[-1]
        print(f"{file}: NOT AUDITED, the vulnerability service cannot be asked: {last[:300]}")
        return 0, 0
    found = [(one, each) for one in packages for each in one.get("vulns", ())]
    for package, vulnerability in found:
        fixed = ", ".join(vulnerability["fix_versions"]) or "no version yet"
        print(f"{file}: {package['name']} {package['version']}: {vulnerability['id']}, fixed in {fixed}")
    skipped = sum("skip_reason" in package for package in packages)
    if skipped:
        print(f"{file}: {skipped} of {len(packages)} packages NOT AUDITED: this index has no data about them.")
    print(f"{file}: {len(packages) - skipped} packages audited, {len(found)} vulnerabilities known.")
    return len(packages) - skipped, 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
