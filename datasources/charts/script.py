"""A chart as a Python program that draws it again, for whoever wants to change it."""

import json
from collections.abc import Mapping
from typing import Any

_SCRIPT = '''"""Draws a chart again. Needs Python 3.9 or newer and `pip install vl-convert-python`."""

import json
from pathlib import Path

DATA_FILE = {data_file}  # the rows of the query that the chart is of
IMAGE_FILE = {image_file}
# Vega-Lite: https://vega.github.io/vega-lite/docs/spec.html
SPEC = json.loads({spec})


def main():
    import vl_convert

    folder = Path(__file__).resolve().parent
    (folder / IMAGE_FILE).write_bytes(vl_convert.vegalite_to_png(SPEC, scale=2))
    print(f"Drawn: {{IMAGE_FILE}}. Its rows: {{DATA_FILE}}.")


if __name__ == "__main__":
    main()
'''


def write_script(spec: Mapping[str, Any], *, data_file: str, image_file: str) -> str:
    """The program. Whatever stands in *spec* is text in it, and never code."""
    written = json.dumps(spec, ensure_ascii=True)
    return _SCRIPT.format(data_file=ascii(data_file), image_file=ascii(image_file), spec=ascii(written))
