from setuptools import setup

setup(
    name="module-of-stdlib",
    version="1.0",
    py_modules=["colorsys"],
)
