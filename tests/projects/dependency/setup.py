from setuptools import setup

setup(
    name="dependency",
    version="1.0",
    py_modules=["dependency"],
)
