from setuptools import setup

setup(
    name="src-layout",
    version="1.0",
    package_dir={"": "src", "src_layout.other": "somewhere/else"},
    packages=["src_layout", "src_layout.other"],
)
