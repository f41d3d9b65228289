import sys

from setuptools import setup

for _ in range(20000):
    sys.stdout.write("x" * 99 + "\n")
    sys.stderr.write("WARNING: " + "x" * 90 + "\n")

setup(
    name="noisy-build",
    version="1.0",
    py_modules=["noisy_build"],
)
