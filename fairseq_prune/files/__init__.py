"""Files that are whole or not there, and folders with one writer; plain Python, for every package."""
