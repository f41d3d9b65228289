def main():
    print('entry point')
