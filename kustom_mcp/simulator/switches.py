"""The choices that public material leaves open, as one frozen value.

The defaults are the simulator's decisions; each switch turns one of them into the other plausible answer, so that a
client can be shown to work under both.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Switches:
    """Switches for the behaviours that are not known of Kustom."""

    full_refund_closes: bool = False
    """A full refund of a CAPTURED order makes it CLOSED; otherwise it stays CAPTURED."""
    release_closes: bool = False
    """Releasing the remaining authorization makes the order CLOSED instead of CAPTURED."""
    part_captured_expires: bool = True
    """A PART_CAPTURED order becomes EXPIRED when its time passes; otherwise only its remaining amount drops to 0."""
    forgets_keys: bool = False
    """Idempotency keys are accepted and ignored: a repeat has its effect again."""
    strict_line_sums: bool = False
    """Order lines that do not add up to the amount of the request are refused."""
    lines_optional: bool = False
    """A changed authorization without `order_lines` wipes the lines (Klarna) instead of being refused (Kustom)."""
    limits_status: int = 400
    """Status of a body that breaks a limit: 400 (INVALID_REQUEST_PARAMETERS) or Klarna's 422 (UNPROCESSABLE_ENTITY)."""
    malformed_order_id_is_400: bool = False
    """An order id without UUID shape gets 400 INVALID_REQUEST_PARAMETERS instead of 404 NO_SUCH_ORDER."""
    signed_transactions: bool = False
    """Settlement transactions that reduce a payout have negative amounts; otherwise every amount is positive."""
    max_body: int = 8 * 1024 * 1024
    """Largest request body in bytes; above it the answer is 413."""
