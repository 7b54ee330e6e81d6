"""Knowledge bases: the SQLite store, how names are compared, and how facts become text."""
