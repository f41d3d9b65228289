from setuptools import setup

setup(
    name="data-files-lib64",
    version="1.0",
    py_modules=["data_files_lib64"],
    data_files=[("lib64/data-files-lib64", ["data.txt"])],
)
