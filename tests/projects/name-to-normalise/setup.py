from setuptools import setup

setup(
    name="Zope.Odd_Name",
    version="1.0",
    packages=["zope_odd"],
)
