from setuptools import setup

setup(
    name="licenses",
    version="1.0",
    packages=["licenses"],
    license="MIT",
    license_files=["LICENSE*", "vendored/*/COPYING", "licenses/notice.txt"],
)
