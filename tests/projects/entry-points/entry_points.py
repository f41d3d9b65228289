def main():
    print('entry point')


class Main:
    run = staticmethod(main)
