from setuptools import setup

# What not all systems allow in the name of a file is not kept in this directory.
for name in ('the "best".txt', "back\\slash", "a:b*c?<d>|e"):
    with open("file_names/data/" + name, "w") as stream:
        stream.write("made by setup.py\n")

setup(
    name="file-names",
    version="1.0",
    packages=["file_names"],
    package_data={"file_names": ["data/*", "data/.*"]},
)
