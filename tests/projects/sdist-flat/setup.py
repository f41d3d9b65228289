from setuptools import setup

setup(
    name="sdist-flat",
    version="1.0",
    py_modules=["sdist_flat"],
)
