"""`make image-digests`: name the images of the compose files and the Dockerfile by the digests they have today.

A version such as 7.4-alpine is moved by its publisher; a digest is one image for good, so what was tried is what runs.
The project itself names versions, so that a new installation gets the fixes of the day. Needs Docker; stands alone.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILES = ("docker-compose.yml", "deploy/compose/postgres.yml", "deploy/compose/monitoring.yml", "Dockerfile")
_OURS = "pustaka"
_IMAGE = re.compile(r"^(\s*image: |ARG PYTHON_IMAGE=)([a-z0-9./_-]+):([\w.-]+)(?:@sha256:[0-9a-f]+)?$", re.MULTILINE)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def main() -> int:
    """Look up every digest, then write all files; 1 with a line of what is wrong, and nothing written."""
    texts = {ROOT / name: (ROOT / name).read_text() for name in FILES}
    images = sorted({f"{found[2]}:{found[3]}" for text in texts.values() for found in _IMAGE.finditer(text)})
    digests: dict[str, str] = {}
    for image in images:
        if image.split(":")[0] == _OURS:
            continue
        try:
            digests[image] = look_up(image)
        except (OSError, subprocess.SubprocessError, ValueError) as exc:
            print(f"{image}: {exc}. Nothing was changed.", file=sys.stderr)
            return 1
        print(f"{image}@{digests[image]}")
    for path, text in texts.items():
        path.write_text(_IMAGE.sub(lambda found: _named(found, digests), text))
    return 0


def look_up(image: str) -> str:
    """The digest that *image* has at its registry.

    Raises:
        ValueError: the answer is no digest.
    """
    command = ["docker", "buildx", "imagetools", "inspect", image, "--format", "{{.Manifest.Digest}}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)  # noqa: S603 - of our files
    answer = done.stdout.strip()
    if not _DIGEST.fullmatch(answer):
        raise ValueError(f"{answer[:100]!r} is no digest")
    return answer


def _named(found: re.Match[str], digests: dict[str, str]) -> str:
    image = f"{found[2]}:{found[3]}"
    return f"{found[1]}{image}@{digests[image]}" if image in digests else found[0]


if __name__ == "__main__":
    sys.exit(main())
