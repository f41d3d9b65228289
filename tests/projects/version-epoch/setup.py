from setuptools import setup

setup(
    name="version-epoch",
    version="1!1.0",
    py_modules=["version_epoch"],
)
