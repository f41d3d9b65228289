from setuptools import setup

setup(name="pyproject-for-tools", version="1.0", py_modules=["pyproject_for_tools"])
