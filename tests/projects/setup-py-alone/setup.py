from setuptools import setup

setup(name="setup-py-alone", version="1.0", py_modules=["setup_py_alone"])
