import os

from setuptools import setup

# No tool that cleans up leaves such files alone.
os.makedirs("byte_code/__pycache__", exist_ok=True)
for name in ("legacy.pyc", "__pycache__/other.cpython-27.pyc", "__pycache__/data.txt"):
    with open("byte_code/" + name, "wb") as stream:
        stream.write(b"not for this interpreter")

setup(
    name="byte-code",
    version="1.0",
    packages=["byte_code"],
    package_data={"byte_code": ["*.pyc", "__pycache__/*"]},
)
