def main():
    print('gui')
