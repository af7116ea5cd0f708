"""`kustom-mcp check`: test the settings and the credentials, and list the tools that are switched off.

It tries one harmless read, of an order that cannot exist: the answer that there is none proves that the key was
accepted.
"""

from __future__ import annotations

import anyio

from kustom_mcp.api.endpoints import GET_ORDER
from kustom_mcp.api.errors import AuthenticationFailed, NotFound, OmsError
from kustom_mcp.app.app import App
from kustom_mcp.calls.policy import Policy
from kustom_mcp.cli.program import shown
from kustom_mcp.server.handlers import TOOL_FACTS
from kustom_mcp.settings.environment import Loaded
from kustom_mcp.tools.catalog import CATALOG

IMPOSSIBLE = "00000000-0000-0000-0000-000000000000"
SECONDS = 15


def run(loaded: Loaded) -> int:
    """Print the findings. 0: everything works; 1: something does not."""
    settings = loaded.settings
    policy = Policy(settings, TOOL_FACTS)
    print(f"Kustom's API: {settings.base_url or 'the embedded sandbox, nothing leaves this machine'}")
    app = App.of(settings)
    print(f"Merchant: {_merchant(app)}")
    print(f"Confirmation: {settings.confirm}")
    _print_policy(policy)
    print(f"Order book: {_book(settings.book_days)}")
    good, found = anyio.run(try_a_read, app)
    print(found)
    return 0 if good else 1


def _merchant(app: App) -> str:
    if app.settings.merchant:
        return app.settings.merchant
    if not app.account.merchant:
        return "none, as the sandbox needs none"
    return f"{app.account.merchant}, a name made up for this address (KUSTOM_MERCHANT is not set)"


def _book(days: int) -> str:
    if not days:
        return "none (KUSTOM_BOOK_DAYS is 0), so kustom_find_orders finds nothing"
    return f"an order stays for {days} days after its creation (KUSTOM_BOOK_DAYS); `{shown('book', 'status')}` has more"


def _print_policy(policy: Policy) -> None:
    off = {tool: policy.why_off(tool) for tool in CATALOG}
    print(f"Tools: {sum(why is None for why in off.values())} of {len(off)} are on")
    for why in dict.fromkeys(why for why in off.values() if why):
        names = ", ".join(tool for tool, reason in off.items() if reason == why)
        print(f"  {names}: {why}")
    if policy.rehearses:
        print("Writes: previewed only, nothing is ever sent (KUSTOM_WRITES=preview)")


async def try_a_read(app: App, where: str = "") -> tuple[bool, str]:
    """Ask for an order that cannot exist: whether that shows the credentials to be good, and the finding in words.

    `where`: the table of a shop, where its settings stand.
    """
    async with app.lifespan():
        try:
            await app.client.read(GET_ORDER, deadline=app.clock() + SECONDS, order_id=IMPOSSIBLE)
        except NotFound:
            who = "The sandbox" if app.settings.sandboxed else "Kustom"
            return True, f"Credentials: accepted. {who} was asked for an order that cannot exist, and said so."
        except AuthenticationFailed as error:
            return False, f"Credentials: NOT accepted (HTTP {error.status}). {_advice(error, where)}"
        except OmsError as error:
            url = f"api_url of {where}" if where else "KUSTOM_API_URL"
            return False, f"Connection: {error} Check the network, {url} and KUSTOM_PROXY."
        return False, "Something is odd: Kustom returned an order that cannot exist."


def _advice(error: AuthenticationFailed, where: str) -> str:
    if error.blocked:
        return "The request was blocked before the key was looked at: is this network allowed to reach Kustom?"
    names = f"username and key of {where}" if where else "KUSTOM_USERNAME and KUSTOM_API_KEY"
    return f"Check {names}, and that the key belongs to this environment."
