"""References in, result rows out: the stages joined as pure functions."""
