"""From words to a plan: they are understood, put as a question, and answered from memory, from pins or by pip."""
