"""The engine: trains sparse autoencoders on the hidden states of language models. Pure torch; knows no framework."""
