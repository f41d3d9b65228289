shadowed = True
