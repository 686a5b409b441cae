"""What the scripts share: flags, one-line errors, progress bars, SIGINT and SIGTERM."""
