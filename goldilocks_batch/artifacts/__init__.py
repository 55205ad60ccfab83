"""From a model's name to files whose digests have been checked.  Nothing here can predict."""
