import os

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildPy(build_py):
    def run(self):
        super().run()
        self.copy_file("pth-file.pth", os.path.join(self.build_lib, "pth-file.pth"))


setup(
    name="pth-file",
    version="1.0",
    packages=["pth_file"],
    cmdclass={"build_py": BuildPy},
)
