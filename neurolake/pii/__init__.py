"""Personal data: which columns hold it, found from a sample inside this process, without a model or a network."""
