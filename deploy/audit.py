"""`make audit`: known vulnerabilities of the pinned packages, by pip-audit; where they cannot be looked up it says so.

Exit code 1 for a known vulnerability, 2 where some packages could not be audited and no vulnerability is known. With
`--accept-unaudited` that is printed, and 0: an index without vulnerability data must not stop a build. Such an index is
not asked about every package: the first file, a short one, tells.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

_ACCEPT = "--accept-unaudited"
_OPTIONS = ("--require-hashes", "--disable-pip", "--progress-spinner=off", "--format=json", "--timeout=30")


def main(arguments: Sequence[str]) -> int:
    """Audit the files among *arguments*, until one of which nothing is known; the exit code."""
    files = [each for each in arguments if each != _ACCEPT]
    is_known, is_whole = False, True
    for number, file in enumerate(files, start=1):
        audited, skipped, found = _audit(file)
        is_known, is_whole = is_known or found > 0, is_whole and audited > 0 and not skipped
        if not audited:
            for other in files[number:]:
                print(f"{other}: NOT AUDITED, as nothing is known of {file}.")
            break
    if is_known or is_whole:
        return int(is_known)
    if _ACCEPT in arguments:
        print(f"NOT AUDITED as a whole, which is accepted here ({_ACCEPT}).")
        return 0
    return 2


def _audit(file: str) -> tuple[int, int, int]:
    """How many packages could be audited, how many could not, and how many vulnerabilities are known."""
    command = [sys.executable, "-m", "pip_audit", *_OPTIONS, "-r", file]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own files
    try:
        packages: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        last = (done.stderr.strip().splitlines() or ["no answer"])[-1]
        print(f"{file}: NOT AUDITED, the vulnerability service cannot be asked: {last[:300]}")
        return 0, 0, 0
    found = [(one, each) for one in packages for each in one.get("vulns", ())]
    for package, vulnerability in found:
        fixed = ", ".join(vulnerability["fix_versions"]) or "no version yet"
        print(f"{file}: {package['name']} {package['version']}: {vulnerability['id']}, fixed in {fixed}")
    skipped = sum("skip_reason" in package for package in packages)
    if skipped:
        print(f"{file}: {skipped} of {len(packages)} packages NOT AUDITED: this index has no data about them.")
    print(f"{file}: {len(packages) - skipped} packages audited, {len(found)} vulnerabilities known.")
    return len(packages) - skipped, skipped, len(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
