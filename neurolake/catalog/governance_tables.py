"""The tables of the metadata file that say who may see what. Names in them are folded; '' stands where one has no part.

What opens a table (`grants`, `scans`) goes with the table; what protects it (`policies`, `row_filters`, `tags`,
confirmed `findings`) stays with the name: see docs/governance.md.
"""

from __future__ import annotations

SCHEMA = """
CREATE TABLE IF NOT EXISTS roles (role TEXT PRIMARY KEY, created_by TEXT NOT NULL, created_at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS role_inherits (
    role TEXT NOT NULL, inherited TEXT NOT NULL, PRIMARY KEY (role, inherited)
);
CREATE TABLE IF NOT EXISTS user_roles (
    user_name TEXT NOT NULL, role TEXT NOT NULL, position INTEGER NOT NULL, PRIMARY KEY (user_name, role)
);
CREATE TABLE IF NOT EXISTS user_attributes (
    user_name TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (user_name, name)
);
CREATE TABLE IF NOT EXISTS grants (
    role TEXT NOT NULL, privilege TEXT NOT NULL, kind TEXT NOT NULL, table_schema TEXT NOT NULL,
    table_name TEXT NOT NULL, column_name TEXT NOT NULL, granted_by TEXT NOT NULL, granted_at REAL NOT NULL,
    PRIMARY KEY (table_schema, table_name, role, privilege, kind, column_name)
);
CREATE INDEX IF NOT EXISTS grants_on_no_table ON grants (table_schema) WHERE table_name = '';
CREATE TABLE IF NOT EXISTS policies (
    name TEXT PRIMARY KEY, role TEXT NOT NULL, kind TEXT NOT NULL, table_schema TEXT NOT NULL,
    table_name TEXT NOT NULL, column_name TEXT NOT NULL, word TEXT NOT NULL, action TEXT NOT NULL,
    options TEXT NOT NULL, created_by TEXT NOT NULL, created_at REAL NOT NULL, replaces INTEGER NOT NULL DEFAULT 1
);
CREATE INDEX IF NOT EXISTS policies_by_table ON policies (table_schema, table_name);
CREATE INDEX IF NOT EXISTS policies_on_no_table ON policies (table_schema) WHERE table_name = '';
CREATE TABLE IF NOT EXISTS row_filters (
    name TEXT PRIMARY KEY, role TEXT NOT NULL, table_schema TEXT NOT NULL, table_name TEXT NOT NULL,
    condition TEXT NOT NULL, created_by TEXT NOT NULL, created_at REAL NOT NULL, replaces INTEGER NOT NULL DEFAULT 1
);
CREATE INDEX IF NOT EXISTS row_filters_by_table ON row_filters (table_schema, table_name);
CREATE TABLE IF NOT EXISTS tags (
    table_schema TEXT NOT NULL, table_name TEXT NOT NULL, column_name TEXT NOT NULL, tag TEXT NOT NULL,
    tagged_by TEXT NOT NULL, tagged_at REAL NOT NULL, PRIMARY KEY (table_schema, table_name, column_name, tag)
);
CREATE INDEX IF NOT EXISTS tags_on_no_table ON tags (table_schema) WHERE table_name = '';
CREATE TABLE IF NOT EXISTS descriptions (
    table_schema TEXT NOT NULL, table_name TEXT NOT NULL, column_name TEXT NOT NULL, description TEXT NOT NULL,
    PRIMARY KEY (table_schema, table_name, column_name)
);
CREATE TABLE IF NOT EXISTS scans (
    table_schema TEXT NOT NULL, table_name TEXT NOT NULL, column_name TEXT NOT NULL, data_type TEXT NOT NULL,
    status TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY (table_schema, table_name, column_name)
);
CREATE TABLE IF NOT EXISTS findings (
    table_schema TEXT NOT NULL, table_name TEXT NOT NULL, column_name TEXT NOT NULL, entity TEXT NOT NULL,
    confidence REAL NOT NULL, evidence TEXT NOT NULL, share REAL NOT NULL, sample_size INTEGER NOT NULL,
    detector TEXT NOT NULL, status TEXT NOT NULL, PRIMARY KEY (table_schema, table_name, column_name, entity)
);
CREATE TABLE IF NOT EXISTS former_names (
    table_schema TEXT NOT NULL, table_name TEXT NOT NULL, PRIMARY KEY (table_schema, table_name)
);
CREATE TABLE IF NOT EXISTS audit (
    chain TEXT NOT NULL, number INTEGER NOT NULL, at REAL NOT NULL, event TEXT NOT NULL, user_name TEXT NOT NULL,
    role TEXT NOT NULL, query_id TEXT NOT NULL, policy_version INTEGER NOT NULL, details TEXT NOT NULL,
    hash TEXT NOT NULL, PRIMARY KEY (chain, number)
);
"""
