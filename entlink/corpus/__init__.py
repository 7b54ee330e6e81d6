"""Documents in, links out: text files, JSONL, HTML."""
