"""The bookkeeping of `kustom-mcp book import`, apart from reading the orders: rows a second, by the format of the file.

    uv run python -m benchmarks.importing [--rows 100000]

The whole of the command runs - the file is read, ids are looked up in the book, orders are put in, what is done is
kept - with a client that answers at once, so that only the reads are missing. The second time every order is fresh, and
only looked up. Files and book are on the disk.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import anyio

from kustom_mcp.api.client import KustomClient
from kustom_mcp.api.models import Order
from kustom_mcp.api.retry import CoolDown
from kustom_mcp.app.app import App
from kustom_mcp.cli.book.import_file import Options, import_file
from kustom_mcp.settings.environment import load

HEADERS = ("Created", "Customer", "Total", "Kustom order id", "Note")

_ORDER = Order.model_validate(
    {"order_id": "", "status": "CAPTURED", "purchase_currency": "SEK", "order_amount": 19900, "captured_amount": 19900}
)


class AtOnce:
    """In place of the client: an order of any id, without a request."""

    def __init__(self) -> None:
        self.cool_down = CoolDown(time.monotonic)

    async def read(self, _: Any, *, deadline: float, order_id: str) -> Order:
        made_up = {
            "order_id": order_id,
            "merchant_reference1": f"WEB-{order_id[:8]}",
            "created_at": f"2026-0{1 + int(order_id[0], 16) // 2}-01T10:00:00Z",
        }
        return _ORDER.model_copy(update=made_up)


def exports(directory: Path, rows: int) -> list[Path]:
    """The same rows as CSV and as a workbook."""
    chance = random.Random(5)
    table = [
        ("2026-01-31", f"Kund {number}", "199,00", str(UUID(int=chance.getrandbits(128))), '"a note"')
        for number in range(rows)
    ]
    text, book = directory / "orders.csv", directory / "orders.xlsx"
    text.write_text("".join(f"{';'.join(row)}\n" for row in (HEADERS, *table)), encoding="utf-8")
    write_workbook(book, [HEADERS, *table])
    return [text, book]


def write_workbook(path: Path, table: list[tuple[str, ...]]) -> None:
    """As Excel writes it: the texts of all cells in a table of their own. openpyxl writes them into the cells."""
    texts = {cell: number for number, cell in enumerate(dict.fromkeys(cell for row in table for cell in row))}
    cells = "".join(
        f'<row r="{line}">'
        + "".join(f'<c r="{chr(65 + at)}{line}" t="s"><v>{texts[cell]}</v></c>' for at, cell in enumerate(row))
        + "</row>"
        for line, row in enumerate(table, start=1)
    )
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    package = "http://schemas.openxmlformats.org/package/2006"
    links = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    shared = "".join(f"<si><t>{text}</t></si>" for text in texts)
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types">'
        f'<Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{kind}.worksheet+xml"/>'
        f'<Override PartName="/xl/sharedStrings.xml" ContentType="{kind}.sharedStrings+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
        f'Type="{links}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{links}"><sheets><sheet name="Orders" sheetId="1" '
        'r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
        f'Type="{links}/worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="r2" '
        f'Type="{links}/sharedStrings" Target="sharedStrings.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{cells}</sheetData></worksheet>',
        "xl/sharedStrings.xml": f'<sst xmlns="{main}">{shared}</sst>',
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in parts.items():
            file.writestr(name, content)


async def imported(file: Path, state: Path) -> tuple[float, float]:
    """Seconds that the import takes: by the clock, and of the processor."""
    app = App.of(load({"KUSTOM_STATE_DIR": str(state), "KUSTOM_BOOK_DAYS": "3650"}).settings)
    async with app.lifespan():
        app.client = cast("KustomClient", AtOnce())
        before, worked = time.perf_counter(), time.process_time()
        code = await import_file(app, Options(file, None, None, 10**6, 5, restart=False), lambda _: None)
        assert code == 0
        return time.perf_counter() - before, time.process_time() - worked


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000)
    rows: int = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as place:
        for file in exports(Path(place), rows):
            for what in ("put in", "fresh already"):
                clock, processor = anyio.run(imported, file, Path(place) / f"state{file.suffix}")
                speed = f"{rows / clock:9,.0f} rows a second, {rows / processor:9,.0f} a second of the processor"
                print(f"{file.suffix:5} {what:14} {speed}", flush=True)


if __name__ == "__main__":
    main()
