"""From words to a plan: ``arguments`` reads the request, ``planning`` finds the answer, ``pip`` speaks with pip."""
