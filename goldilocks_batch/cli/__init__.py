"""The command line: every command translates its options into one call of the library."""
