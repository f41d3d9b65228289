from setuptools import setup

setup(
    name="data-files-only",
    version="1.0",
    packages=[],
    data_files=[("share/data-files-only", ["data.txt"])],
)
