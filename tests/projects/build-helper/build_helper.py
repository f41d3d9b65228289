def generate():
    return "generated = True\n"
