"""What is written for a row: one module a code, each around the writer of a kept library."""
