from setuptools import setup

setup(
    name="sdist-tar-xz",
    version="1.0",
    packages=["sdist_tar_xz"],
    scripts=["tool-of-sdist-tar-xz"],
)
