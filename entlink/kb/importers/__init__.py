"""Readers of entity files, one format a module; each yields `entlink.records.Entity`."""
