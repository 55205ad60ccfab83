"""What every room uses and what uses none of them: errors, files, versions, the machine."""
