from msgspec.structs import replace


class Processes:
    def __init__(self):
        self.t = {}

    def seen(self, p):
        self.t[p.pid, p.start_ns] = p

    def ended(self, e):
        k = (e.pid, e.start_ns)
        if k in self.t:
            self.t[k] = replace(self.t[k], exit_code=e.exit_code, out_of_memory=e.out_of_memory, ended_ns=e.time_ns)

    def get(self, k):
        return self.t.get(k)

    def alive(self, k):
        return k in self.t and self.t[k].exit_code is None
