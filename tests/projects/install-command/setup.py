import os

from setuptools import setup
from setuptools.command.install import install


class Install(install):
    def run(self):
        super().run()
        path = os.path.join(self.install_lib, "install_command", "installed.txt")
        with open(path, "w") as stream:
            stream.write("written by install\n")


setup(
    name="install-command",
    version="1.0",
    packages=["install_command"],
    cmdclass={"install": Install},
)
