from setuptools import setup

setup(
    name="python2-file",
    version="1.0",
    packages=["python2_file"],
    package_data={"python2_file": ["templates/*"]},
)
