"""Links that a customer will click, read as a browser reads them or refused; and the list of carriers."""

from __future__ import annotations

import re

import pytest

from kustom_mcp.settings.links import carriers, host_of, is_web_address, is_within, shown_host

HOSTS = {
    "https://tracking.postnord.com/?id=1": "tracking.postnord.com",
    "http://track.example.com": "track.example.com",
    "HTTPS://Track.EXAMPLE.com./x": "track.example.com",
    "https://track.example.com:8443/x#y": "track.example.com",
    "https://track.bpost.cloud/btr/web/#/search?itemCode=1": "track.bpost.cloud",
    "https://gls-group.com/track/ä?x=a@b": "gls-group.com",
    "https://xn--pstnord-6fg.se/x": "xn--pstnord-6fg.se",
    "https://my_shop.example.com/": "my_shop.example.com",
    "http://192.0.2.1/x": "192.0.2.1",
    "http://localhost:8080/x": "localhost",
}


@pytest.mark.parametrize("link", HOSTS)
def test_the_host_of_a_link_is_the_one_that_opens(link: str) -> None:
    assert host_of(link) == shown_host(link) == HOSTS[link]


@pytest.mark.parametrize(
    "link",
    [
        "",
        "postnord.se/x",
        "//postnord.se/x",
        "https:postnord.se",
        "https:///postnord.se",
        "javascript:alert(1)",
        "data:text/html,x",
        "ftp://postnord.se",
        "https://postnord.se@evil.example.com/",
        "https://postnord.se:443@evil.example.com/",
        "https://user:secret@postnord.se/",
        "https://evil.example.com\\@postnord.se/",
        "https:\\\\evil.example.com",
        "https://evil.example.com\\.postnord.se",
        "https://postnord.se:80.evil.example.com/",
        "https://postnord.se:99999/",
        "https://postnord%2ese/",
        "https://postnord.se%2eevil.example.com/",
        "https://postnord.se;evil.example.com/",
        "https://postnord.se&evil.example.com/",
        "https://post nord.se/",
        "https://post\tnord.se/",
        "https://postnord.se/\n",
        " https://postnord.se/",
        "https://pоstnord.se/",
        "https://postnord。se/",
        "https://ｐｏｓｔｎｏｒｄ.se/",
        "https://postnord\u200b.se/",
        "https://postnord.se\u2024evil.example.com/",
        "https://[::1]/",
        "https://.postnord.se/",
        "https://postnord..se/",
        "https://-postnord.se/",
        "https://postnord.se/<script>",
        "https://" + "a" * 64 + ".se/",
    ],
)
def test_a_link_that_two_could_read_in_two_ways_has_no_host(link: str) -> None:
    with pytest.raises(ValueError, match=r"^its? "):
        host_of(link)
    assert shown_host(link) == "no host that can be read"


def test_what_is_no_text_has_no_host() -> None:
    assert shown_host(None) == "no host"


def test_a_host_is_within_a_list_with_its_subdomains_only() -> None:
    hosts = {"postnord.se", "dhl.com"}
    assert is_within("postnord.se", hosts)
    assert is_within("track.my.dhl.com", hosts)
    for other in ("xpostnord.se", "postnord.se.evil.example.com", "se", "xn--pstnord-6fg.se", "postnord.com"):
        assert not is_within(other, hosts)


@pytest.mark.parametrize(
    ("address", "ordinary"),
    [
        ("https://shop.example.com/p/1", True),
        ("HTTP://shop.example.com", True),
        ("//shop.example.com/p/1", True),
        ("/p/1", True),
        ("p/1.html", True),
        ("", True),
        ("javascript:alert(1)", False),
        (" javascript:alert(1)", False),
        ("java\nscript:alert(1)", False),
        ("data:text/html,x", False),
        ("https://shop.example.com@evil.example.com/", False),
        ("//shop.example.com@evil.example.com/", False),
        ("\\\\evil.example.com\\x", False),
        ("https://shоp.example.com/", False),
    ],
)
def test_a_web_address_hides_nothing(address: str, ordinary: bool) -> None:
    assert is_web_address(address) is ordinary


@pytest.mark.parametrize(
    "link",
    [
        "https://tracking.postnord.com/?id=1",
        "https://www.postnord.se/vara-verktyg/spara-brev-paket-och-pall?shipmentId=1",
        "https://sporing.posten.no/sporing/1",
        "https://tracking.bring.se/tracking/1",
        "https://www.posti.fi/fi/seuranta#/lahetys/1",
        "https://www.matkahuolto.fi/seuranta?parcelNumber=1",
        "https://tracking.budbee.com/1",
        "https://helthjem.no/sporing/1",
        "https://www.dbschenker.com/app/tracking-public/?refNumber=1",
        "https://www.dhl.com/se-sv/home/tracking.html?tracking-id=1",
        "https://tracking.dpd.de/status/en_US/parcel/1",
        "https://gls-group.eu/track/1",
        "https://www.ups.com/track?tracknum=1",
        "https://www.fedex.com/fedextrack/?trknbr=1",
        "https://www.evri.com/track/parcel/1",
        "https://www.laposte.fr/outils/suivre-vos-envois?code=1",
        "https://track.bpost.cloud/btr/web/#/search?itemCode=1",
        "https://jouw.postnl.be/track-and-trace/1",
        "https://tools.usps.com/go/TrackConfirmAction?qtc_tLabels1=1",
        "https://t.17track.net/en#nums=1",
    ],
)
def test_the_links_of_usual_carriers_are_in_the_list_that_ships(link: str) -> None:
    assert is_within(host_of(link), carriers())


def test_the_list_of_carriers_holds_names_of_hosts_each_once_and_no_ending_of_many() -> None:
    found = carriers()
    assert len(found) > 150
    for host in found:
        assert host_of(f"https://{host}/") == host
        assert not re.fullmatch(r"(co|com|net|org)\.[a-z]{2}|[a-z]+", host)
        parent = host.partition(".")[2]
        assert not is_within(parent, found), host
