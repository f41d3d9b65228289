import os

import setuptools
from setuptools import setup

directory = os.path.dirname(setuptools.__file__)
with open(os.path.join(directory, "version.py"), "a") as stream:
    stream.write("# left behind by a build\n")
with open(os.path.join(os.path.dirname(directory), "left_behind.py"), "w") as stream:
    stream.write("# left behind by a build\n")

setup(
    name="writes-into-build-environment",
    version="1.0",
    py_modules=["writes_into_build_environment"],
)
