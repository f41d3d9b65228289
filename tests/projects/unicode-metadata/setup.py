from setuptools import setup

setup(
    name="unicode-metadata",
    version="1.0",
    description="Ein Prüfstück",
    long_description="Größe\n\n  Höhe: 3 µm\n\n..  日本語\n",
    author="Jürgen Müller",
    author_email="jürgen@example.org",
    keywords=["schön", "großartig"],
    url="https://example.org/größe",
    py_modules=["unicode_metadata"],
)
