"""One page about a run: its figures are gathered from the results, drawn, and put into a template."""
