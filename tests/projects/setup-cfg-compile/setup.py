from setuptools import setup

setup(
    name="setup-cfg-compile",
    version="1.0",
    packages=["setup_cfg_compile"],
)
