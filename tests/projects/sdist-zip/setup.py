from setuptools import setup

setup(
    name="sdist-zip",
    version="1.0",
    packages=["sdist_zip"],
    scripts=["tool-of-sdist-zip"],
)
