from setuptools import setup

setup(
    name="deep-path",
    version="1.0",
    packages=["deep_path"],
    package_data={"deep_path": ["*/*/*/*/*/*/*.txt"]},
)
