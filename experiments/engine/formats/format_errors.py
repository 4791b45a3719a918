"""What is said of files of another tool that cannot be used."""


class FormatError(ValueError):
    """Files that cannot be read as an SAE, or an SAE that a format has no words for; the message is one sentence."""
