import os

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildPy(build_py):
    def run(self):
        super().run()
        with open(os.path.join(self.build_lib, "build_py_command", "generated.py"), "w") as stream:
            stream.write("generated = True\n")


setup(
    name="build-py-command",
    version="1.0",
    packages=["build_py_command"],
    cmdclass={"build_py": BuildPy},
)
