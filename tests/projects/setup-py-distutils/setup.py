from distutils.core import setup

setup(name="setup-py-distutils", version="1.0", packages=["setup_py_distutils"], scripts=["distutils-script"])
