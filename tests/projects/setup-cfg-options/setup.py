from setuptools import setup

setup(
    name="setup-cfg-options",
    version="1.0",
    packages=["setup_cfg_options"],
    scripts=["setup-cfg-script"],
)
