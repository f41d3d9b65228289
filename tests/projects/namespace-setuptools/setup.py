from setuptools import setup

setup(
    name="namespace-setuptools",
    version="1.0",
    packages=["namespace_setuptools", "namespace_setuptools.part"],
    namespace_packages=["namespace_setuptools"],
)
