from setuptools import setup

setup(
    name="version-zeros",
    version="01.0",
    py_modules=["version_zeros"],
)
