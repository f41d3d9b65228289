from setuptools import setup

setup(
    name="namespace-pep420",
    version="1.0",
    packages=["namespace_pep420.part"],
)
