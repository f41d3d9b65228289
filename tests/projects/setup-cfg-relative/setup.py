from setuptools import setup

setup(
    name="setup-cfg-relative",
    version="1.0",
    packages=["setup_cfg_relative"],
    scripts=["setup-cfg-relative"],
)
