"""Order ids in files of other programs: whatever the encoding, the delimiter and the other columns, with the right
lines."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import Workbook

from kustom_mcp.api.models import PAYMENT_TYPES
from kustom_mcp.book.spreadsheets import NoColumn, Row, Unreadable, opened

NOTHING = "there is no order id in this row"
SHOP_NUMBER = "this is not an order id: this looks like a merchant reference or an order number of the shop"


def order_id(number: int) -> str:
    return str(UUID(int=(number + 1) * 0x1234567890ABCDEF1234567890ABCDEF % 2**128))


A, B, C = map(order_id, range(3))


def written(path: Path, text: str, encoding: str = "utf-8", mark: bytes = b"") -> Path:
    path.write_bytes(mark + text.encode(encoding))
    return path


def excel(path: Path, *sheets: Sequence[Sequence[object]]) -> Path:
    book = Workbook()
    first = book.active
    assert first is not None
    book.remove(first)
    for number, rows in enumerate(sheets):
        sheet = book.create_sheet(f"Sheet {number + 1}")
        for row in rows:
            sheet.append(list(row))
    book.save(path)
    return path


def rows(path: Path, column: str | None = None, sheet: str | None = None) -> list[Row]:
    return list(opened(path, column, sheet).rows())


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [
        ("utf-8", b""), ("utf-8-sig", b""), ("cp1252", b""), ("utf-16", b""), ("utf-16-le", b""), ("utf-16-be", b""),
        ("utf-16-be", b"\xfe\xff"), ("utf-32", b""),
    ],
)  # fmt: skip
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encoding_delimiter_and_line_ends_are_found(
    encoding: str, mark: bytes, delimiter: str, end: str, tmp_path: Path
) -> None:
    lines = [["Namn", "Order-ID", "Belopp"], ["Åsa Öberg", A, "12.50"], ["Zoë", "", "1"], ["Ø", B.upper(), "3"]]
    path = written(tmp_path / "any.csv", end.join(map(delimiter.join, lines)), encoding, mark)
    assert rows(path) == [Row(2, A), Row(3, None, NOTHING), Row(4, B)]


def test_a_sample_that_is_ascii_says_nothing_about_the_rest(tmp_path: Path) -> None:
    text = "id,name\n" + "".join(f"{order_id(number)},Plain name\n" for number in range(3000)) + f"{C},Åsa\n"
    assert rows(written(tmp_path / "long.csv", text, "cp1252"))[-1] == Row(3002, C)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"{A}\n{B}\n", [Row(1, A), Row(2, B)]),
        (f"order\n{A}\n\n\n{B}", [Row(2, A), Row(5, B)]),
        (f"sep=;\nx;order id\n1,0;{A}", [Row(3, A)]),
        (f"Sales report\nfrom 2026-01-01, in SEK\n\nName,Klarna order id\nx,{A}\n", [Row(5, A)]),
        (f'="{A}",1\n\'{B},2\n" {C} ",3\n', [Row(1, A), Row(2, B), Row(3, C)]),
        (f"a,https://portal.kustom.co/orders/list/{A}?merchantId=M1\n", [Row(1, A)]),
        (f'name,id\n"two\nlines",{A}\n"x ""y""",{B}\n', [Row(2, A), Row(4, B)]),
        (f"capture_id,whatever\n{A},{B}\n", [Row(2, B)]),
        (f"order_id,Kustom order ID\n{A},{B}\n", [Row(2, B)]),
        (f"link,order\nhttps://portal.kustom.co/orders/list/{A},{A}\n", [Row(2, A)]),
        (f"id,total\n{A},1\n,\n,2\n{A[:-1]},3\n15632423,4\n", [
            Row(2, A), Row(4, None, NOTHING),
            Row(5, None, "this is not an order id: the last group has 11 characters, 12 expected"),
            Row(6, None, SHOP_NUMBER),
        ]),
        (f"{A[:-1]}\n{A}\n", [
            Row(1, None, "this is not an order id: the last group has 11 characters, 12 expected"), Row(2, A),
        ]),
    ],
    ids=["no header", "blank lines", "sep", "title", "dressed", "link", "lines in a cell", "other ids", "whose", "same",
         "bad rows", "bad first row"],
)  # fmt: skip
def test_the_column_and_the_lines_are_found(text: str, found: list[Row], tmp_path: Path) -> None:
    assert rows(written(tmp_path / "x.csv", text)) == found


@pytest.mark.parametrize("column", ["Second ID", " second id", "3", "C", "c"])
def test_a_column_can_be_named(column: str, tmp_path: Path) -> None:
    path = written(tmp_path / "x.csv", f"n,first id,second id\n1,{A},{B}\n")
    assert rows(path, column) == [Row(2, B)]
    assert rows(excel(tmp_path / "x.xlsx", [["n", "first id", "second id"], [1, A, B]]), column) == [Row(2, B)]


@pytest.mark.parametrize(
    ("text", "column", "why"),
    [
        ("name,number\nx,15632423\n", None, "none of its columns holds order ids (looked at 2 rows)"),
        ("", None, "the file has no rows"),
        ("\n ,\n", "id", "the file has no rows"),
        (f"id,ID\n{A},{B}\n", "Id", "columns 1, 2 all have the header that --column names: give the number of one"),
        (f"id\n{A.replace('-', '')}\n", None, "none of its columns holds order ids"),
        (f"a,b,c\n{A},{B},1\n", None, "columns 1 and 2 all hold ids: say with --column which are order ids"),
        (f"a,b\n{A},1\n", "order", "no column has the header that --column names"),
        (f"a,b\n{A},1\n", "3", "no column has the header that --column names"),
    ],
)
def test_a_file_without_one_certain_column_is_refused(text: str, column: str | None, why: str, tmp_path: Path) -> None:
    with pytest.raises(NoColumn) as refused:
        opened(written(tmp_path / "x.csv", text), column)
    assert why in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        f'id,name\n{A},"never closed\n{B},x\n{C},y\n',
        "id,name\n" + f'{A},"never closed\n' + "a,b\n" * 200,
        "id,name\n" + f'{A},"never closed\n' + f"{'long ' * 100},b\n" * 500,
        f'id,name\n{A},"never closed\nx,y\nz,\n',
    ],
    ids=["ids behind", "many lines", "more than a cell holds", "a few lines without ids"],
)
def test_a_quotation_mark_that_swallows_rows_is_reported_and_not_believed(text: str, tmp_path: Path) -> None:
    found = rows(written(tmp_path / "x.csv", text), "id")
    assert found[0].line == 2
    assert found[0].order_id is None
    assert "quotation mark" in (found[0].problem or "")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (bytes(range(256)) * 10, "neither a text file (CSV) nor an Excel file"),
        (b"\xd0\xcf\x11\xe0" + b"x" * 100, "old kind (.xls), or has a password"),
        (b"PK\x03\x04" + b"x" * 100, "cannot be read as an Excel file"),
        (b"id," + b"x" * 1_100_000, "longer than a million characters"),
    ],
    ids=["binary", "xls", "zip", "endless"],
)
def test_what_is_no_table_is_refused(content: bytes, why: str, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    with pytest.raises(Unreadable) as refused:
        rows(path, "id")
    assert why in str(refused.value)


def test_what_is_not_a_file_is_called_by_its_name(tmp_path: Path) -> None:
    for path, why in (
        (tmp_path, "it is a folder"),
        (Path("/dev/null"), "it is a device or a pipe"),
        (tmp_path / "x.csv", "there is no such file"),
        (tmp_path / ("x" * 300), "the file cannot be read"),
    ):
        with pytest.raises(Unreadable, match=why):
            opened(path)


def test_ids_in_braces_and_without_hyphens_are_ids(tmp_path: Path) -> None:
    text = f"digest,id\n{B.replace('-', '')},{{{A.upper()}}}\n{C.replace('-', '')},{B.replace('-', '')}\n"
    assert rows(written(tmp_path / "x.csv", text)) == [Row(2, A), Row(3, B)]


def test_sheets_of_a_workbook_are_looked_through(tmp_path: Path) -> None:
    about = [["Report"], [None], ["made by", "a program"]]
    orders = [["Orders"], [None, None], ["Amount", "Order ID"], [12.5, A], [None, None], [3, None], ["x", 15632423]]
    path = excel(tmp_path / "x.xlsx", about, orders, [["Order ID"], [B]])
    assert rows(path) == [
        Row(4, A),
        Row(6, None, NOTHING),
        Row(7, None, SHOP_NUMBER),
    ]
    assert rows(path, sheet="sheet 3") == [Row(2, B)]
    with pytest.raises(Unreadable, match="--sheet"):
        opened(path, sheet="Orders")
    with pytest.raises(Unreadable, match="only an Excel file has sheets"):
        opened(written(tmp_path / "x.csv", A), sheet="1")


def test_a_workbook_that_is_cut_in_the_middle_is_refused_where_it_breaks(tmp_path: Path) -> None:
    whole = excel(tmp_path / "whole.xlsx", [["Order ID"], *([order_id(number)] for number in range(3000))])
    cut = tmp_path / "cut.xlsx"
    with zipfile.ZipFile(whole) as parts, zipfile.ZipFile(cut, "w") as made:
        for name in parts.namelist():
            content = parts.read(name)
            made.writestr(name, content[: len(content) * 2 // 3] if "sheet1" in name else content)
    with pytest.raises(Unreadable, match=r"line \d+: it cannot be read as an Excel file"):
        rows(cut)


def test_without_the_extra_an_excel_file_is_refused_with_what_to_install(tmp_path: Path) -> None:
    path = excel(tmp_path / "x.xlsx", [["Order ID"], [A]])
    program = (
        "import sys; sys.modules['openpyxl'] = None; from kustom_mcp.cli.parser import run; "
        "sys.exit(run(['book', 'import', sys.argv[1]]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        capture_output=True,
        text=True,
        env={"KUSTOM_ENVIRONMENT": "sandbox"},
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "Environment: sandbox\n")
    assert done.stderr == (
        "kustom-mcp: FILE: Excel files need the extra `excel`: install kustom-mcp[excel], or save the file as CSV.\n"
    )


def test_rows_that_continue_an_order_are_none_of_their_own(tmp_path: Path) -> None:
    """As Shopify exports orders: each line of an order is a row, and only the first one has its payment id."""
    lines = [
        ("Name", "Email", "Lineitem name", "Payment ID"),
        *(("#1001", "a@example.com", "Chair", A), ("#1001", "", "Table", ""), ("#1001", "", "Sofa", "")),
        *(("#1002", "b@example.com", "Chair", ""), ("#1002", "", "Lamp", "")),
        *(("#1003", "c@example.com", "Chair", B), ("", "", "Lamp", ""), ("#1001", "", "Lamp", "")),
    ]
    path = written(tmp_path / "orders.csv", "\n".join(map(",".join, lines)))
    missing = [Row(line, None, NOTHING) for line in (5, 6, 8, 9)]
    assert rows(path) == [Row(2, A), *missing[:2], Row(7, B), *missing[2:]]
    assert list(opened(path).rows(2)) == [*missing[:2], Row(7, B), *missing[2:]]


@pytest.mark.parametrize(
    "lines",
    [
        [("Payment ID", "Name", "Item"), (A, "#1", "Chair"), ("", "#1", "Sofa"), (B, "#2", "Lamp"), ("", "", "Cup")],
        [("Email", "Name", "Payment ID"), ("a@x.example", "#1", A), ("", "#1", ""), ("b", "#2", B), ("b", "#3", "")],
        [("Order Number", "Transaction ID"), ("1", A), ("", ""), ("2", B), ("3", "")],
        [("Date", "Order number", "ID"), ("28.11.", "1", A), ("", "", ""), ("28.11.", "2", B), ("28.11.", "3", "")],
    ],
    ids=str,
)
def test_rows_continue_an_order_wherever_its_number_stands(tmp_path: Path, lines: list[tuple[str, ...]]) -> None:
    """Columns are moved in Excel, and WooCommerce leaves the number of further lines empty. What may be another order
    stays a row without an id."""
    path = written(tmp_path / "orders.csv", "\n".join(",".join((*line, "x")) for line in lines))
    assert rows(path) == [Row(2, A), Row(4, B), Row(5, None, NOTHING)]


def test_reading_begins_after_a_line_that_is_given(tmp_path: Path) -> None:
    path = written(tmp_path / "x.csv", f"id\n{A}\n{B}\n{C}\n")
    assert [row.line for row in opened(path).rows(after=2)] == [3, 4]
    assert list(opened(path).rows(after=4)) == []


def test_the_same_content_is_the_same_file_wherever_it_is(tmp_path: Path) -> None:
    text = f"id,other id\n{A},{B}\n"
    (tmp_path / "elsewhere").mkdir()
    digests = [
        opened(written(tmp_path / "x.csv", text), "id").digest,
        opened(written(tmp_path / "elsewhere" / "y.txt", text), "1").digest,
        opened(written(tmp_path / "z.csv", text), "other id").digest,
        opened(written(tmp_path / "w.csv", text + "\n"), "id").digest,
    ]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


_TEXT = st.text(st.characters(exclude_categories=("Cc", "Cs")) | st.sampled_from(list('",;\n')))
_IDS = st.integers(0, 10**6).map(order_id) | st.just("") | st.just("WEB-1")


@given(table=st.lists(st.tuples(_TEXT, _IDS, _TEXT), max_size=30), delimiter=st.sampled_from(",;\t"), end=st.booleans())
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_stands_in_other_columns_the_ids_come_out_with_their_lines(
    table: list[tuple[str, str, str]], delimiter: str, end: bool, tmp_path: Path
) -> None:
    file = io.StringIO(newline="")
    writer: Any = csv.writer(file, delimiter=delimiter, lineterminator="\r\n" if end else "\n")
    writer.writerow(("who", "kustom order id", "what"))
    writer.writerow(("", order_id(7), ""))
    expected = [(2, order_id(7))]
    line = 3
    for row in table:
        before = file.tell()
        writer.writerow(row)
        file.seek(before)
        text = file.read()
        if row[1] or row[0].strip() or row[2].strip():
            expected.append((line, row[1] if len(row[1]) == 36 else ""))
        line += len(list(io.StringIO(text, newline="")))
    path = tmp_path / "any.csv"
    path.write_bytes(file.getvalue().encode())
    found = {row.line: row.order_id or "" for row in rows(path)}
    lines = {number: one for number, one in expected if one}
    assert {number: one for number, one in found.items() if one} == lines
    assert set(lines) <= set(found) <= set(range(2, line))


LINK = f"https://portal.kustom.co/orders/list/{A}?merchantId=K1"


@pytest.mark.parametrize(
    "cell",
    [
        f'=HYPERLINK("{LINK}";"Visa")',
        f'=HYPERLÄNK("{LINK}","{A}")',
        f'=HYPERLINK("https://shop.example/admin/5";"{A.upper()}")',
        f'{{"method_title": "Kustom", "klarna_order_id": "{A}", "session_id": "{B}"}}',
        f'{{"order_id":"{A}"}}',
        f'[{{"id":7,"key":"_kco_order_id","value":"{A}"}},{{"id":8,"key":"_session","value":"{B}"}}]',
        f'a:2:{{s:15:"klarna_order_id";s:36:"{A}";s:10:"session_id";s:36:"{B}";}}',
        f'"{{\\"kustom_order_id\\":\\"{A}\\"}}"',
        f"gift: no\nkustom_order_id: {A}",
    ],
    ids=lambda cell: cell[:24],
)
def test_an_id_is_taken_out_of_a_formula_and_of_a_text_that_names_it(cell: str, tmp_path: Path) -> None:
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=";").writerows([("Name", "Payment"), ("#1", cell), ("#2", "none")])
    found = rows(written(tmp_path / "x.csv", file.getvalue()))
    assert [row.order_id for row in found] == [A, None]


@pytest.mark.parametrize(
    "cell",
    [
        f'=HYPERLINK("{LINK}";"{B}")',
        f'{{"klarna_order_id": "{A}", "kustom_order_id": "{B}"}}',
        f'{{"session_id": "{A}"}}',
        f"replaces {A}",
    ],
)
def test_a_text_with_two_ids_or_none_that_is_named_leads_to_no_order(cell: str, tmp_path: Path) -> None:
    file = io.StringIO(newline="")
    csv.writer(file).writerows([("Name", "Payment"), ("#1", cell)])
    path = written(tmp_path / "x.csv", file.getvalue())
    assert [row.order_id for row in rows(path, "Payment")] == [None]
    with pytest.raises(NoColumn, match="none of its columns holds order ids"):
        opened(path)


def test_ids_that_stand_alone_are_taken_before_those_in_texts(tmp_path: Path) -> None:
    file = io.StringIO(newline="")
    csv.writer(file).writerows([("Notes", "Payment"), (f'{{"order_id": "{B}"}}', A), (f'{{"order_id": "{A}"}}', B)])
    assert rows(written(tmp_path / "x.csv", file.getvalue())) == [Row(2, A), Row(3, B)]


def test_a_link_that_a_workbook_shows_as_a_word_is_followed_to_its_order(tmp_path: Path) -> None:
    path = excel(tmp_path / "x.xlsx", [["Order", "Link"], ["#1", f'=HYPERLINK("{LINK}","Show")'], ["#2", "Show"]])
    assert [row.order_id for row in rows(path)] == [A, None]


def elsewhere(path: Path, *not_kustom: str) -> list[int]:
    """The lines of rows of other payment methods."""
    return [row.line for row in opened(path, not_kustom=not_kustom).rows() if row.elsewhere]


def test_rows_of_other_payment_methods_are_told_apart_with_those_that_continue_them(tmp_path: Path) -> None:
    lines = [
        ("Name", "Lineitem", "Payment Method", "Payment Reference"),
        *(("#1", "Chair", "Kustom Checkout", A), ("#1", "Sofa", "", "")),
        *(("#2", "Chair", "PayPal Express Checkout", "c55.1"), ("#2", "Sofa", "", "")),
        *(("#3", "Chair", "Stripe + gift_card", ""), ("#3", "Sofa", "", ""), ("#3", "Lamp", "", "")),
        *(("#4", "Chair", "Kustom Checkout + gift_card", ""), ("#5", "Chair", "", ""), ("#6", "Chair", "Swish", "")),
        ("#7", "Chair", "Klarna via Stripe", ""),
    ]
    path = written(tmp_path / "orders.csv", "\n".join(map(",".join, lines)))
    assert rows(path) == [
        Row(2, A),
        Row(4, None, elsewhere=True),
        Row(6, None, elsewhere=True),
        *(Row(line, None, NOTHING) for line in (9, 10, 11, 12)),
    ]
    assert elsewhere(path, "swish", "klarna VIA stripe") == [4, 6, 11, 12]
    assert elsewhere(path, "") == [4, 6, 10]
    assert list(opened(path).rows(4)) == rows(path)[2:]
    assert opened(path, not_kustom=["Swish"]).digest != opened(path).digest


def test_a_method_that_stands_beside_an_order_id_is_not_another(tmp_path: Path) -> None:
    lines = [
        ("Payment Method", "Payment Method Title", "Transaction ID"),
        *(("kco", "Card", A), ("stripe", "Card", "pi_1"), ("paypal", "PayPal", B), ("paypal", "PayPal", "")),
        *(("bacs", "Kustom", ""), ("nets_easy", "Nets", C.replace("-", ""))),
    ]
    path = written(tmp_path / "orders.csv", "\n".join(map(",".join, lines)))
    assert elsewhere(path) == [3, 7]
    assert elsewhere(path, "paypal") == [3, 4, 5, 7]
    assert [row.order_id for row in rows(path)] == [A, None, B, None, None, None]


@pytest.mark.parametrize("method", sorted({*PAYMENT_TYPES, "Invoice", "Faktura", "Swish", "Vipps", "Kort", "Card"}))
def test_what_kustom_checkout_offers_is_never_another_method(method: str, tmp_path: Path) -> None:
    path = written(tmp_path / "x.csv", f"Payment Method,Order ID\nKustom,{A}\n{method},\n")
    assert elsewhere(path) == []


def test_methods_are_named_only_where_the_file_has_them(tmp_path: Path) -> None:
    path = written(tmp_path / "x.csv", f"Name,Order ID\nPayPal,{A}\nPayPal,\n")
    assert elsewhere(path) == []
    with pytest.raises(NoColumn, match="--not-kustom"):
        opened(path, not_kustom=["PayPal"])
