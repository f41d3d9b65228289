from setuptools import setup

setup(
    name="version-tag-build",
    version="1.0",
    py_modules=["version_tag_build"],
)
