from setuptools import setup

setup(
    name="executable-data",
    version="1.0",
    packages=["executable_data"],
    package_data={"executable_data": ["*.sh", "*.txt"]},
)
