def main():
    print('poetry-core')
