"""Where external data comes from: files and object stores, their formats and their credentials."""
