"""What SQLAlchemy's suite may ask of an engine like DuckDB's; what is not said here is as the suite has it."""

from sqlalchemy.testing import exclusions
from sqlalchemy.testing.requirements import SuiteRequirements

NO = exclusions.closed()


class Requirements(SuiteRequirements):
    """What differs from the suite's assumptions."""

    # DuckDB has no columns that count by themselves; the dialects make none.
    autoincrement_insert = NO
    autoincrement_without_sequence = NO
    implicitly_named_constraints = NO
    # DuckDB's foreign keys do not cascade, and its schemas are not those of the suite.
    on_update_cascade = NO
    schemas = NO
    # Tables are read back by name, and DuckDB's TEMPORARY tables are of a session.
    temp_table_reflection = NO
    temporary_views = NO
