from setuptools import setup

setup(
    name="setup-cfg-executable",
    version="1.0",
    packages=[],
    scripts=["setup-cfg-executable"],
)
