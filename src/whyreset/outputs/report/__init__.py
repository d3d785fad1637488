"""What captures show, for people: a summary, a table, a page with plots."""
