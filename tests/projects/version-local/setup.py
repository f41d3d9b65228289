from setuptools import setup

setup(
    name="version-local",
    version="1.0+ubuntu.1",
    py_modules=["version_local"],
)
