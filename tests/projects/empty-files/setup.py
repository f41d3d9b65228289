from setuptools import setup

setup(
    name="empty-files",
    version="1.0",
    packages=["empty_files"],
    package_data={"empty_files": ["*.txt", "py.typed"]},
)
