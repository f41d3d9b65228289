from setuptools import setup

# Not all systems allow that name.
with open(b"fails_file_name/gr\xfc\xdfe.txt", "w") as stream:
    stream.write("data\n")

setup(
    name="fails-file-name",
    version="1.0",
    packages=["fails_file_name"],
    package_data={"fails_file_name": ["*.txt"]},
)
