"""Two processes in the place of one: a *keeper* that has rights, and a *worker* that has none.

The worker is the process that was started: it parses, decides, stores and shows. Before it sees anything that others
may have sent, it gives up its user, all capabilities, and the way back (no_new_privs). The keeper was forked from it
before; it answers a short list of requests (`requests.py`), within what this run was granted (`grants.py`), and holds
what the kernel takes away when it ends. When either of them ends, however that happens, so does the other.
"""
