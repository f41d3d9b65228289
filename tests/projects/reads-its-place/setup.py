import os
import sys

from setuptools import setup

here = os.path.dirname(os.path.abspath(__file__))
found = {
    "argv": sys.argv[0],
    "file": os.path.basename(__file__),
    "absolute": os.path.isabs(__file__),
    "name": __name__,
    "here": os.path.samefile(here, os.curdir),
    "importable": here in map(os.path.abspath, sys.path),
}
with open(os.path.join(os.path.dirname(os.path.abspath(sys.argv[0])), "reads_its_place.py"), "w") as stream:
    stream.write("found = {!r}\n".format(found))
if __name__ == "__main__":
    setup(name="reads-its-place", version="1.0", py_modules=["reads_its_place"])
    sys.exit(0)
