from setuptools import setup

setup(
    name="nothing-inside",
    version="1.0",
    packages=[],
    install_requires=["dependency"],
)
