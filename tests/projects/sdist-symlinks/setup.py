from setuptools import setup

setup(
    name="sdist-symlinks",
    version="1.0",
    packages=["sdist_symlinks", "sdist_symlinks.linked"],
    package_data={"sdist_symlinks": ["*.txt"], "sdist_symlinks.linked": ["*.txt"]},
)
