"""The sequence diagram of one connection, in a terminal and as SVG."""
