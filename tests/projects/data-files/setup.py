from setuptools import setup

setup(
    name="data-files",
    version="1.0",
    py_modules=["data_files"],
    data_files=[
        ("share/data-files/deeper", ["data.txt"]),
        ("etc/data-files", ["data.ini"]),
        "data-files.txt",
    ],
)
