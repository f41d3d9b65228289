from setuptools import setup

setup(
    name="build-helper",
    version="1.0",
    py_modules=["build_helper"],
)
