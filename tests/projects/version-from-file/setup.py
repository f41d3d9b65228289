from setuptools import setup

with open("VERSION") as stream:
    version = stream.read().strip()
with open("version_from_file/_version.py", "w") as stream:
    stream.write("version = {!r}\n".format(version))
setup(name="version-from-file", version=version, packages=["version_from_file"])
