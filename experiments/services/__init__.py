"""What can be done with experiments, corpora, models and workers; pages, API and commands call the same functions."""
