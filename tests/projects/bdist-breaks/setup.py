from distutils.command.bdist import bdist
from distutils.command.bdist_dumb import bdist_dumb

from setuptools import setup


class BrokenDumb(bdist_dumb):
    def run(self):
        raise RuntimeError("this command has been broken for years")


class BrokenBdist(bdist):
    def run(self):
        raise RuntimeError("this command has been broken for years")


setup(
    name="bdist-breaks",
    version="1.0",
    packages=["bdist_breaks"],
    cmdclass={"bdist_dumb": BrokenDumb, "bdist": BrokenBdist},
)
