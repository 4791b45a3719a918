"""What the lens does, for the page, the API and the command alike."""
