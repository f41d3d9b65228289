from setuptools import setup

setup(
    name="metadata-1-0",
    version="1.0",
    py_modules=["metadata_1_0"],
    install_requires=["dependency"],
)
