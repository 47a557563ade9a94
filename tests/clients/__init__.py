"""Clients and suites of others, run against a server."""
