"""Search for rates under an accuracy limit."""
