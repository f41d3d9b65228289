from setuptools import setup

setup(
    name="sdist-stale-build",
    version="1.0",
    packages=["sdist_stale_build"],
)
