"""How the pocket Reasoner is made: its tokenizer, its lessons, its training and its evaluation."""
