from setuptools import setup

setup(
    name="namespace-pkgutil",
    version="1.0",
    packages=["namespace_pkgutil", "namespace_pkgutil.part"],
)
