"""self-inflicted beyond its page: what its evidence names."""

from tests.findings.story import Story


def test_a_service_that_listens_on_two_addresses_is_named_once() -> None:
    """Redis on both families was restarted once, and there is room for the others."""
    lines = []
    for number, name in enumerate(("nginx", "master", "sshd", "redis")):
        addresses = ("0.0.0.0", "::") if name == "redis" else ("0.0.0.0",)
        begin = 20 + 2 * number
        port = 7000 + number
        lines += [f"0 listen {port} {name} unit={name}.service address={each}" for each in addresses]
        lines += [f"{begin} exit {name} 0", f"{begin}.2 sent closed-port {port} x3"]
        lines += [f"{begin + 1} listen {port} {name} unit={name}.service address={each}" for each in addresses]
    found = [each for each in Story("\n".join(lines)).play() if each.name == "self-inflicted"]
    services = [each.split()[0] for each in found[-1].evidence]
    assert services == ["nginx.service", "master.service", "sshd.service", "redis.service"]
