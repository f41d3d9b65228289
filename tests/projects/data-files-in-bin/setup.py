from setuptools import setup

setup(
    name="data-files-in-bin",
    version="1.0",
    py_modules=["data_files_in_bin"],
    data_files=[("bin", ["data-files-tool"])],
)
