"""Systems side by side on the same mentions over the same KB: accuracy, speed, one report."""
