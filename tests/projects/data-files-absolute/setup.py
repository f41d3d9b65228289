from setuptools import setup

setup(
    name="data-files-absolute",
    version="1.0",
    py_modules=["data_files_absolute"],
    data_files=[("/etc/data-files-absolute", ["data.txt"])],
)
