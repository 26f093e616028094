"""Files: where they lie, written whole or not at all, read from anyone, SQLite's."""
