"""A build backend in thirty lines."""

import base64
import hashlib
import os
import zipfile

NAME = "another_name-1.0"


def get_requires_for_build_wheel(config_settings=None):
    return []


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    files = {
        "another_name.py": "answer = 42\n",
        NAME + ".dist-info/METADATA": "Metadata-Version: 2.1\nName: another_name\nVersion: 1.0\n",
        NAME + ".dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = [NAME + ".dist-info/RECORD,,"]
    with zipfile.ZipFile(os.path.join(wheel_directory, NAME + "-py3-none-any.whl"), "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            rows.append("{},sha256={},{}".format(name, digest, len(text)))
        wheel.writestr(NAME + ".dist-info/RECORD", "\n".join(rows) + "\n")
    return NAME + "-py3-none-any.whl"
