"""The model and the corpus that ship with Latent Lens: a generated language whose concepts are known."""
