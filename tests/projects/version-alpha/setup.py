from setuptools import setup

setup(
    name="version-alpha",
    version="1.0-alpha.1",
    py_modules=["version_alpha"],
)
