def main():
    print('setuptools-pyproject')
