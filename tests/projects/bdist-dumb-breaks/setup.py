import sys

from setuptools import setup

if "bdist_dumb" in sys.argv:
    sys.exit("bdist_dumb has been broken for years")

setup(
    name="bdist-dumb-breaks",
    version="1.0",
    packages=["bdist_dumb_breaks"],
    data_files=[("share/bdist-dumb-breaks", ["data.txt"])],
)
