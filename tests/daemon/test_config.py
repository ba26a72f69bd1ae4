"""Settings are checked as a whole, and what is wrong is one clear sentence."""

from pathlib import Path

import pytest

from dnsguard.core.policy import Policy
from dnsguard.daemon.compose import name_servers, primaries
from dnsguard.daemon.config import (
    DEFAULT_ZONE,
    ConfigRefused,
    Options,
    default_data_dir,
    parse_address,
    read_settings,
    with_environment,
)
from dnsguard.daemon.lines import place_of
from dnsguard.daemon.places import EMBEDDED, NameServerSection, PrimarySection

SAMPLE = Path(__file__).parents[2] / "deploy" / "dnsguard.toml"
PRIMARY = """
[keys."k"]
secret = "c2VjcmV0"
[primaries.main]
host = "127.0.0.1"
key = "k"
"""


def settings_of(folder: Path, text: str):  # type: ignore[no-untyped-def]
    path = folder / "dnsguard.toml"
    path.write_text(text)
    return read_settings(Options(config=path))


@pytest.mark.parametrize(
    ("primary", "server", "found"),
    [
        ("192.0.2.53", "127.0.0.2", "[primaries.main] is at 192.0.2.53"),
        ("127.0.0.1", "192.0.2.1", "[name_servers.ns1] is at 192.0.2.1"),
        ("127.0.0.1", "ns.example.net", "[name_servers.ns1] is at ns.example.net"),
    ],
)
def test_unguarded_neither_writes_nor_asks_beyond_loopback(
    tmp_path: Path, primary: str, server: str, found: str
) -> None:
    path = tmp_path / "dnsguard.toml"
    servers = f"[name_servers.ns1]\nhost = '{server}'\n[zones.'a.test']\nprimary = 'main'\nname_servers = ['ns1']"
    path.write_text(PRIMARY.replace("127.0.0.1", primary) + servers)
    assert read_settings(Options(config=path)).name_servers["ns1"].host == server
    with pytest.raises(ConfigRefused, match="on loopback only") as refused:
        read_settings(Options(config=path, unguarded=True))
    assert found in str(refused.value)


def test_without_a_file_there_is_one_test_zone_on_the_embedded_server() -> None:
    settings = read_settings(Options())
    assert {name: zone.primary for name, zone in settings.zones.items()} == {DEFAULT_ZONE: EMBEDDED}
    assert settings.policy_of(DEFAULT_ZONE) == Policy()


def test_the_sample_configuration_says_the_defaults_and_is_accepted() -> None:
    sample, plain = read_settings(Options(config=SAMPLE)), read_settings(Options())
    assert (sample.http, sample.log, sample.workers) == (plain.http, plain.log, plain.workers)
    assert sample.propagation == plain.propagation
    main, server = sample.primaries["main"], sample.name_servers["ns1"]
    assert main == PrimarySection(host=main.host, key=main.key)
    assert server == NameServerSection(host=server.host)
    assert sample.policy.over(Policy()) == Policy()
    assert sample.policy_of("example.com.").retire is False


def test_of_many_zones_those_with_a_mistake_are_named(tmp_path: Path) -> None:
    wrong = {"z7.test", "z40.test", "z41.test", "z42.test"}
    zones = [f"[zones.'z{number}.test'.policy]\nverify = 'report'" for number in range(100)]
    text = "\n".join(zone.replace("verify", "verfy") if zone.split("'")[1] in wrong else zone for zone in zones)
    with pytest.raises(ConfigRefused) as refused:
        settings_of(tmp_path, text)
    said = str(refused.value)
    assert [zone for zone in ("z7", "z40", "z41") if f"zones.'{zone}.test'.policy" in said] == ["z7", "z40", "z41"]
    assert said.endswith("; and 1 more like that")


def test_a_zones_policy_goes_over_the_general_one(tmp_path: Path) -> None:
    settings = settings_of(
        tmp_path, "[policy]\nttl_s_min = 30\nrecords_max = 7\n[zones.'Example.COM'.policy]\nrecords_max = 9\n"
    )
    policy = settings.policy_of("example.com.")
    assert (policy.ttl_s_min, policy.records_max) == (30, 9)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("colour = 1", "unknown field `colour`"),
        ("[http]\nport = 1", "unknown field `port`"),
        ("[http]\nlisten = 'localhost'", "HOST:PORT"),
        ("[http]\nlisten = '127.0.0.1:99999'", "HOST:PORT"),
        ("[http]\ndeadline_s = 0", "at http.deadline_s"),
        ("[policy]\nttl_s_min = 9\nttl_s_max = 1", "ttl_s_min ≤ ttl_s_max"),
        ("[policy]\nretire = 'no'", "policy.retire"),
        ("[zones]", "at least one zone"),
        ("[zones.'a..b']", "a label is empty"),
        ("[zones.'a.test']\n[zones.'A.test.']", "a.test. twice"),
        ("[zones.'a.test']\nprimary = 'main'", "expected one of: embedded"),
        ("[primaries.main]\nhost = 'h'\nkey = 'nobody'\n[zones.'a.test']", "add a section [keys.'nobody']"),
        ("[primaries.main]\nhost = '192.0.2.1:53'\n[zones.'a.test']", "without a port"),
        ("[primaries.main]\nhost = '[2001:db8::1]'\n[zones.'a.test']", "brackets"),
        ("[primaries.main]\nhost = 'h'\ntransport = 'udp'\n[zones.'a.test']", "transport"),
        ("[primaries.embedded]\nhost = 'h'\n[zones.'a.test']", "choose another"),
        ("[primaries.main]\nhost = 'h'\n[zones.'a.test']\nprimary = 'main'", "has no key"),
        ("[zones.'a.test']\nkey = 'k'", "the embedded server has its own"),
        ("[primaries.m]\nhost = 'h'\n[zones.'a.test']\nprimary = 'm'\nkey = 'k'", "add a section [keys.'k']"),
        ("[zones.'a.test']\nname_servers = ['ns1']", "add a section [name_servers.NAME]"),
        ("[name_servers.ns1]\nhost = 'h'\n[zones.'a.test']\nname_servers = ['ns1', 'ns1']", "found one twice"),
        ("[name_servers.ns1]\nhost = 'a b'\n[zones.'a.test']", "an address or a name"),
        ("[name_servers.ns1]\nhost = 'h'\nkey = 'k'\n[zones.'a.test']", "add a section [keys.'k']"),
        ("[name_servers.ns1]\nhost = 'h'\ntimeout_s = 0\n[zones.'a.test']", "name_servers.'ns1'.timeout_s"),
        ("[propagation]\nlag_s_max = -1", "propagation.lag_s_max"),
        ("[keys.k]\nalgorithm = 'hmac-md5'\nsecret = 'x'", "algorithm"),
        ("[keys.k]", "exactly one of them"),
        ("[tokens.ci]\nsha256 = 'abc'", "at tokens.'ci'.sha256"),
        ("[zones.'a.test']\nprimary = 5", "expected `str`, got `int` (at zones.'a.test'.primary)"),
        ("[zones.'a.test'.policy]\nverfy = 'x'", "`verfy`, did you mean `verify`? (at zones.'a.test'.policy)"),
        ("[primaries.main]\nhost = 'h'\nport = 70000", "(at primaries.'main'.port)"),
        ("[primaries.main]\nport = 53", "missing required field `host` (at primaries.'main')"),
        ("zones = 5", "expected `object`, got `int` (at zones)"),
        ("[workers]\nenactor_interval = 5", "did you mean `enactor_interval_s`? (at workers)"),
        ("[tokens.ci]\naccess = 'read'", "either sha256 or token_file"),
        ("database_password_file = 'password'", "expects database = "),
        ("x = [", "not valid TOML"),
    ],
)
def test_a_wrong_setting_is_one_sentence_that_says_where(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigRefused) as refused:
        settings_of(tmp_path, text)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value).strip()


def test_a_secret_is_in_no_representation(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, PRIMARY + "[zones.'a.test']\nprimary = 'main'")
    assert "c2VjcmV0" not in repr(settings)


def test_a_zone_may_have_its_own_key_primary_and_name_servers(tmp_path: Path) -> None:
    settings = settings_of(
        tmp_path,
        PRIMARY
        + """
[keys."own."]
algorithm = "hmac-sha512"
secret = "b3du"
[primaries.six]
host = "2001:db8::53"
port = 5353
timeout_s = 1.5
in_flight_max = 4
[name_servers.ns1]
host = "fe80::1%eth0"
key = "k"
[name_servers.unused]
host = "ns.example"
[zones.'a.test']
primary = "main"
[zones.'b.test']
primary = "main"
key = "own."
name_servers = ["ns1"]
[zones.'c.test']
primary = "six"
key = "own."
[zones.'d.test']
""",
    )
    found = primaries(settings, tmp_path, ("127.0.0.1", 5300))
    assert {zone: (at.host, at.port, at.key_name, at.algorithm) for zone, at in found.items()} == {
        "a.test.": ("127.0.0.1", 53, "k.", "hmac-sha256"),
        "b.test.": ("127.0.0.1", 53, "own.", "hmac-sha512"),
        "c.test.": ("2001:db8::53", 5353, "own.", "hmac-sha512"),
        "d.test.": ("127.0.0.1", 5300, "dnsguard.", "hmac-sha256"),
    }
    assert (found["c.test."].timeout_s, found["c.test."].in_flight_max) == (1.5, 4)
    assert place_of(found["a.test."]) == place_of(found["b.test."])
    servers = name_servers(settings)
    assert servers.keys() == {"ns1"}
    assert (servers["ns1"].host, servers["ns1"].signed_as is not None) == ("fe80::1%eth0", True)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigRefused, match=r"nowhere\.toml"):
        read_settings(Options(config=tmp_path / "nowhere.toml"))


def test_options_go_over_the_environment_and_both_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "dnsguard.toml"
    path.write_text("[http]\nlisten = '127.0.0.1:1'\n[dns]\nlisten = '127.0.0.1:2'")
    environ = {"DNSGUARD_CONFIG": str(path), "DNSGUARD_HTTP": "127.0.0.1:3", "DNSGUARD_DATA_DIR": "/from/environment"}
    options = with_environment(Options(http="127.0.0.1:4"), environ)
    settings = read_settings(options)
    assert (settings.http.listen, settings.dns.listen) == ("127.0.0.1:4", "127.0.0.1:2")
    assert settings.data_dir == "/from/environment"


def test_an_unknown_variable_is_named_and_the_clients_are_known() -> None:
    with pytest.raises(ConfigRefused, match="DNSGUARD_PORT is unknown"):
        with_environment(Options(), {"DNSGUARD_PORT": "1"})
    with_environment(Options(), {"DNSGUARD_URL": "http://127.0.0.1:1", "DNSGUARD_TOKEN": "t"})


def test_an_ipv6_address_stands_in_brackets() -> None:
    assert parse_address("[::1]:53", "x") == ("::1", 53)


def test_the_data_folder_follows_the_xdg_rule() -> None:
    assert default_data_dir({"XDG_DATA_HOME": "/data"}) == Path("/data/dnsguard")
    assert default_data_dir({"XDG_DATA_HOME": "relative"}) == Path.home() / ".local" / "share" / "dnsguard"
