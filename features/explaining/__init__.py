"""Explanations without a key: what a feature fires on, counted in one half of the text, tested on the other."""
