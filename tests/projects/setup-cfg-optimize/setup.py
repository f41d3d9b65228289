from setuptools import setup

setup(
    name="setup-cfg-optimize",
    version="1.0",
    packages=["setup_cfg_optimize"],
)
