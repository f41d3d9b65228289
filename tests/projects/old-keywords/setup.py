from setuptools import setup

setup(
    name="old-keywords",
    version="1.0",
    py_modules=["old_keywords"],
    zip_safe=False,
    dependency_links=["https://example.org/links"],
    provides=["old_keywords"],
    obsoletes=["older_keywords"],
    platforms=["any"],
    download_url="https://example.org/download",
    test_suite="tests",
    tests_require=["no-such-thing"],
    eager_resources=["old_keywords.py"],
)
