from setuptools import setup

setup(
    name="sdist-top-directory",
    version="1.0",
    py_modules=["sdist_top_directory"],
)
