from setuptools import setup

setup(
    name="sdist-tar-bz2",
    version="1.0",
    packages=["sdist_tar_bz2"],
    scripts=["tool-of-sdist-tar-bz2"],
)
