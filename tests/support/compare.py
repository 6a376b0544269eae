"""Compares a file, value by value, with the records that permitd made of it: `compare.py FILE DEFINITION RECORDS REJECTED`.

FILE is read by Python's csv or by openpyxl, and by schemas/datasets/README.md alone: no code is shared with permitd. RECORDS
holds a line `{"line": 12, "record": {...}}` for each record, in the file's order; REJECTED is a list of lines such as `4,17`.
Prints `N rows, M values: all the same`, or the differences and ends with 1. Joins are not compared, which is said; a
definition with keys that are not known here ends it with 2. A formula without a value is taken for a blank cell, and
quotation marks enclose cells, unless the definition says otherwise.
"""

import csv
import datetime
import io
import json
import pathlib
import re
import sys
import tomllib
import unicodedata
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

import openpyxl
from openpyxl.utils.datetime import from_excel
from openpyxl.utils.escape import unescape

SHOWN_DIFFERENCES = 20
HEADER_WITHIN_ROWS = 50
ROOT_KEYS = {
    "name", "title", "record_id", "load_date", "blanks", "delimiter", "quote", "encoding", "sheet", "decimal", "thousands",
    "date_order", "skip_rows", "key", "column", "index", "about",
}
KEY_KEYS = {"column", "prefix", "strip", "fold"}
COLUMN_KEYS = {
    "name", "type", "description", "headers", "occurrence", "extract", "join", "import", "required", "default",
    "date_order", "fold", "blanks", "publish", "personal", "searchable", "latitude",
    "longitude",
}
MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
HOURS_OF_ZONES = {
    "Z": 0, "UTC": 0, "GMT": 0,
    "EDT": -4, "EST": -5, "CDT": -5, "CST": -6, "MDT": -6, "MST": -7, "PDT": -7, "PST": -8,
}
DATES = [
    re.compile(r"(?P<year>\d{4})[-/.](?P<month>\d{1,2})[-/.](?P<day>\d{1,2})"),
    re.compile(r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)(?!\d)"),
    re.compile(r"(?P<day>\d{1,2})[- ](?P<word>[A-Za-z]{3,9})[- ](?P<year>\d{4})"),
    re.compile(r"(?P<word>[A-Za-z]{3,9})\.? (?P<day>\d{1,2}),? (?P<year>\d{4})"),
]
DATES_IN_ORDER = {
    "month_first": re.compile(r"(?P<month>\d{1,2})[-/.](?P<day>\d{1,2})[-/.](?P<year>\d{4})"),
    "day_first": re.compile(r"(?P<day>\d{1,2})[-/.](?P<month>\d{1,2})[-/.](?P<year>\d{4})"),
}
TIME = re.compile(
    r"(?:T|,? +)(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d)(?P<fraction>\.\d{1,9})?)?"
    r"(?: ?(?P<half>[AaPp])\.?[Mm]\.?)?(?: ?(?P<zone>[A-Z]{1,3}|[+-]\d\d(?::?\d\d)?))?"
)
# Of a number format: what is written as it stands, what is not shown, the digits.
FORMAT = re.compile(
    r'"(?P<quoted>[^"]*)"|\\(?P<escaped>.)|\[\$(?P<currency>[^]-]*)[^]]*\]|(?P<unseen>\[[^]]*\]|[_*].)'
    r"|(?P<digits>[#0,]*[#0](?:\.[#0]*)?)|(?P<other>.)"
)


class Odd(ValueError):
    """A cell that has no value of its column's type: its row should have been rejected."""


class Cell:
    """A cell: its value as Python has it, and its text without the space around it; of a workbook, its first day too."""

    def __init__(self, value, shown=None, error=False, epoch=None):
        self.value, self.error, self.epoch = value, error, epoch
        self.text = unicodedata.normalize("NFC", ((value or "") if shown is None else shown).strip())

    def __bool__(self):
        return self.text != ""


# --- The file -------------------------------------------------------------------------------------------------------


def decoded(data, encoding):
    """The text of a file. Bytes that are not UTF-8 become surrogates, and are looked at with their row."""
    if not encoding:
        marks = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
        encoding = marks.get(data[:2], "utf-8-sig")
    return data.decode(encoding, "surrogateescape" if encoding == "utf-8-sig" else "strict")


def text_cell(text):
    """A cell of a text file; `="00123"` is how a text is kept from becoming a number."""
    kept = re.fullmatch(r'="([^"]*)"', text.strip())
    return Cell(kept[1] if kept else text)


def text_rows(text, delimiter, quote):
    """The rows of a text with the line that each begins on."""
    quoting = {"quoting": csv.QUOTE_NONE} if quote == "none" else {"quotechar": quote}
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, **quoting)
    begins = 1
    for row in rows:
        if any("\udc80" <= letter <= "\udcff" for letter in "".join(row)):
            row = [cell.encode("utf-8", "surrogateescape").decode("windows-1252") for cell in row]
        yield begins, [text_cell(cell) for cell in row]
        begins = rows.line_num + 1


def tables_of_text(path, definition):
    """The file under each delimiter that it may have."""
    text = decoded(path.read_bytes(), definition.get("encoding"))
    marks = [definition["delimiter"]] if "delimiter" in definition else [",", ";", "\t", "|"]
    said = re.match(r"sep=(.)\r?\n", text)
    if said:
        # Kept as a blank row, so that the lines stay.
        marks, text = [said[1]], text[5:]
    for mark in marks:
        yield list(text_rows(text, "\t" if mark == "tab" else mark, definition.get("quote", '"')))


def plain(number):
    """A number as General shows it, but without an exponent: whole numbers entirely, others with 15 significant digits."""
    return Decimal(number) if isinstance(number, int) else Decimal(f"{number:.15g}")


def shown_number(number, form):
    """A number in a number format, with all its digits; by General where the format is none of the usual ones."""
    number = plain(number or 0)
    sections = re.findall(r'(?:"[^"]*"|\\.|[^;])+', form)
    negative = number < 0
    if negative and len(sections) > 1:
        form, negative = sections[1], False
    elif number == 0 and len(sections) > 2:
        form = sections[2]
    else:
        form = sections[0]
    before, digits, after = "", None, ""
    for token in FORMAT.finditer("" if form in ("General", "@") else form):
        if token["unseen"]:
            continue
        if token["digits"] and digits is None:
            digits = token["digits"]
            continue
        if token["digits"] or (token["other"] or "-").isalpha() or (token["other"] or "-") in "?/,.":
            return f"{number:f}"
        literal = next(filter(None, (token["quoted"], token["escaped"], token["currency"], token["other"])), "")
        before, after = (before + literal, after) if digits is None else (before, after + literal)
    if digits is None:
        return before or f"{number:f}"
    whole, _, decimals = digits.partition(".")
    number = abs(number) * 100 if "%" in before + after else abs(number)
    places = max(decimals.count("0"), -number.normalize().as_tuple().exponent)
    text = f"{number:{',' if ',' in whole else ''}.{places}f}"
    missing = whole.count("0") - len(text.partition(".")[0])
    return "-" * negative + before + "0" * missing + text + after


def shown(value, form):
    """What a sheet shows of a value; days and times as ISO 8601 writes them."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).upper()
        case int() | float():
            return shown_number(value, form)
        case datetime.datetime() if value.time() == datetime.time():
            return value.date().isoformat()
        case datetime.timedelta():
            minutes, seconds = divmod(value.days * 86_400 + value.seconds, 60)
            return f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}"
        case datetime.datetime() | datetime.time():
            text = value.isoformat()
            return text.rstrip("0") if "." in text else text
        case str():
            # openpyxl leaves `_x000D_` as it is written.
            return unescape(value)
        case _:
            return str(value)


def tables_of_workbook(path, definition):
    """The visible sheets, or the one that is named."""
    book = openpyxl.load_workbook(path, data_only=True)
    named = definition.get("sheet")
    for sheet in book.worksheets:
        if sheet.title != named if named else sheet.sheet_state != "visible":
            continue
        rows = []
        for line, row in enumerate(sheet.iter_rows(), start=1):
            texts = [shown(cell.value, cell.number_format) for cell in row]
            cells = [Cell(cell.value, text, cell.data_type == "e", book.epoch) for cell, text in zip(row, texts, strict=True)]
            rows.append((line, cells))
        yield rows


# --- The header -----------------------------------------------------------------------------------------------------


def letters(header):
    """What of a header counts where it is not written as the definition writes it."""
    words = re.findall(r"[^\W_]+|[#%]", header.casefold())
    sign = header.rstrip()[-1:] if header.rstrip()[-1:] in ("+", "-") else ""
    return "".join({"#": "number", "no": "number", "%": "percent"}.get(word, word) for word in words) + sign


def places_of(columns, cells):
    """Which place in a row each column of the definition has, as far as the row is its header."""
    texts = [cell.text for cell in cells]
    places = {}
    steps = [
        lambda column: column["headers"],
        lambda column: [letters(header) for header in column["headers"]],
        lambda column: [letters(column["name"])],
    ]
    for known in steps:
        taken = set(places.values())
        for column in columns:
            if column["name"] in places:
                continue
            for header in known(column):
                found = [place for place, text in enumerate(texts) if text == header and place not in taken]
                if len(found) >= column.get("occurrence", 1):
                    places[column["name"]] = found[column.get("occurrence", 1) - 1]
                    break
        texts = [letters(cell.text) for cell in cells]
    return places


def table_of(path, definition, columns):
    """The places of the columns, and the rows below the header."""
    best = []
    workbook = path.suffix.lower() in (".xlsx", ".xlsm")
    for rows in (tables_of_workbook if workbook else tables_of_text)(path, definition):
        rows = [(line, cells) for line, cells in rows if line > definition.get("skip_rows", 0)]
        headers = [(places_of(columns, cells), at) for at, (_, cells) in enumerate(rows[:HEADER_WITHIN_ROWS])]
        places, at = max(headers, key=lambda header: len(header[0]), default=({}, 0))
        best.append((len(places), places, rows[at + 1 :]))
        if workbook and len(places) >= 2:
            break
    count, places, rows = max(best, key=lambda table: table[0], default=(0, {}, []))
    if count == 0:
        sys.exit("no row holds a header of the definition")
    return places, [(line, cells) for line, cells in rows if any(cells)]


# --- What a cell says -----------------------------------------------------------------------------------------------


class Reader:
    """Reads cells by a definition."""

    def __init__(self, definition):
        self.definition = definition
        self.decimal = definition.get("decimal", ".")
        groups = definition.get("thousands", "," if self.decimal == "." else ".")
        self.thousands = "" if groups == "none" else groups

    def number(self, cell):
        """The number in a cell, exactly."""
        if isinstance(cell.value, (int, float)) and not isinstance(cell.value, bool):
            return Decimal(repr(cell.value))
        text = cell.text
        negative = re.fullmatch(r"\((.*)\)|(.*\S) ?-", text)
        if negative:
            text = negative[1] or negative[2]
        percent = text.endswith("%")
        text = "".join(mark for mark in text.rstrip("%") if unicodedata.category(mark) != "Sc").strip()
        text = re.sub(r"^([+-])\s+", r"\1", text)
        group, point = re.escape(self.thousands), re.escape(self.decimal)
        grouped = rf"\d{{1,3}}(?:{group}\d{{3}})+|" if group else ""
        if not re.fullmatch(rf"[+-]?(?:{grouped}\d+|(?={point}\d))(?:{point}\d*)?(?:[eE][+-]?\d+)?", text):
            raise Odd("no number")
        text = text.replace(self.thousands, "") if self.thousands else text
        try:
            number = Decimal(text.replace(self.decimal, "."))
        except InvalidOperation as error:
            raise Odd("no number") from error
        return (-number if negative else number) / (100 if percent else 1)

    def moment(self, cell, order):
        """The day in a cell, its time without the fraction of a second, that fraction, and the offset of its zone."""
        value, nothing = cell.value, Decimal(0)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            try:
                # A day that lost its format.
                value = from_excel(value, cell.epoch)
            except OverflowError:
                # Too many days: a number such as 20161201.
                value = None
        if isinstance(value, datetime.datetime):
            return value.replace(microsecond=0), Decimal(value.microsecond) / 1_000_000, None
        if isinstance(value, datetime.date):
            return datetime.datetime.combine(value, datetime.time()), nothing, None
        found = next(filter(None, (form.match(cell.text) for form in [*DATES, DATES_IN_ORDER[order]])), None)
        rest = cell.text[found.end() :] if found else ""
        time = TIME.fullmatch(rest)
        if not found or (rest and not time):
            raise Odd("no date")
        part = found.groupdict()
        word = part.get("word", "").lower()[:3]
        try:
            month = MONTHS.index(word) + 1 if word else int(part["month"])
            at = datetime.datetime(int(part["year"]), month, int(part["day"]))
            if not time:
                return at, nothing, None
            hour = int(time["hour"])
            if time["half"]:
                hour = hour % 12 + (12 if time["half"] in "Pp" else 0)
            at = at.replace(hour=hour, minute=int(time["minute"]), second=int(time["second"] or 0))
        except ValueError as error:
            raise Odd("no date") from error
        return at, Decimal(time["fraction"] or 0), self.offset(time["zone"])

    @staticmethod
    def offset(zone):
        """How far a zone is ahead of UTC."""
        if zone is None:
            return None
        if zone[0] in "+-":
            hours, minutes = int(zone[1:3]), int(zone[-2:] if len(zone) > 3 else 0)
            return datetime.timedelta(hours=hours, minutes=minutes) * (-1 if zone[0] == "-" else 1)
        if zone not in HOURS_OF_ZONES:
            raise Odd("no known zone")
        return datetime.timedelta(hours=HOURS_OF_ZONES[zone])

    def text(self, column, cell):
        """The text in a cell, as a key where it is one."""
        key = self.definition["key"]
        is_key = column["name"] == key["column"]
        fold = key.get("fold", column.get("fold", "none")) if is_key else column.get("fold", "none")
        text = cell.text
        if is_key:
            for begins in key.get("strip", []):
                begin = text[: len(begins)]
                if begin == begins or (fold != "none" and begin.casefold() == begins.casefold()):
                    text = text[len(begins) :]
            prefix = key.get("prefix", "")
            text = text if text.startswith(prefix) else prefix + text
        if fold != "none":
            text = text.casefold() if fold == "lower" else text.casefold().upper()
        return unicodedata.normalize("NFC", text)

    def expected(self, column, cell):
        """What should be published of a cell: None, or a value of the type that `published` makes."""
        blanks = [*self.definition.get("blanks", []), *column.get("blanks", [])]
        if not cell or cell.text.casefold() in [text.casefold() for text in blanks]:
            if column.get("required") or column["name"] == self.definition["key"]["column"]:
                raise Odd("a value is required")
            if "default" not in column:
                return None
            cell = Cell(column["default"])
        elif cell.error:
            raise Odd("an error of the sheet")
        if "extract" in column:
            cell = Cell(coordinate(cell.text, column["extract"]))
        kind = column.get("type", "text")
        if kind == "text":
            return self.text(column, cell)
        if kind == "point":
            return tuple(degrees(coordinate(cell.text, which)) for which in ("longitude", "latitude"))
        if kind in ("date", "timestamp"):
            order = column.get("date_order", self.definition.get("date_order", "month_first"))
            at, fraction, offset = self.moment(cell, order)
            return at.date() if kind == "date" else (at - (offset or datetime.timedelta()), fraction)
        number = self.number(cell)
        whole = number == number.to_integral_value()
        if re.match(r"[+-]?0\d", cell.text):
            raise Odd("zeros before a number")
        if kind == "money":
            return number.quantize(Decimal("0.01"), ROUND_HALF_UP)
        if kind == "integer" and not whole:
            raise Odd("no whole number")
        if kind == "number" and whole and int(float(number)) != number:
            raise Odd("more digits than 64 bits hold")
        return int(number) if kind == "integer" else float(number)

    def place(self, cells):
        """The longitude and the latitude of two columns of numbers; none where one of them has no value."""
        numbers = [None if self.expected(column, cell) is None else self.number(cell) for column, cell in cells]
        return None if None in numbers else tuple(degrees(number) for number in numbers)


def coordinate(text, which):
    """The latitude or longitude in `POINT (longitude latitude)` or `(latitude, longitude)`."""
    point = re.fullmatch(r"POINT ?\(\s*(?P<longitude>\S+)\s+(?P<latitude>\S+)\s*\)", text, re.IGNORECASE)
    pair = re.fullmatch(r"\(?\s*(?P<latitude>[^\s,]+)\s*,\s*(?P<longitude>[^\s,)]+)\s*\)?", text)
    if not (point or pair):
        raise Odd("no place")
    return (point or pair)[which]


def degrees(number):
    """A coordinate as it is kept: with seven decimals."""
    return Decimal(number).quantize(Decimal("0.0000001"), ROUND_HALF_UP)


def published(kind, value):
    """A value of a record, of the type that the definition declares."""
    if kind == "point":
        if not isinstance(value, dict) or value.get("type") != "Point":
            raise Odd("no point of GeoJSON")
        return tuple(degrees(number) for number in value["coordinates"])
    of_json = {"integer": int, "money": (int, Decimal), "number": (int, Decimal)}
    if not isinstance(value, of_json.get(kind, str)) or isinstance(value, bool):
        raise Odd(f"no {kind} of JSON")
    match kind:
        case "money":
            return Decimal(value)
        case "number":
            return float(value)
        case "date" if re.fullmatch(r"\d{4}-\d\d-\d\d", value):
            return datetime.date.fromisoformat(value)
        case "timestamp" if re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", value):
            at, _, fraction = value[:-1].partition(".")
            return datetime.datetime.fromisoformat(at), Decimal(f"0.{fraction or 0}")
        case "date" | "timestamp":
            raise Odd(f"no {kind} of ISO 8601")
        case _:
            return value


# --- The comparison -------------------------------------------------------------------------------------------------


def definition_of(path):
    """The definition, if it says nothing that is not compared here."""
    definition = tomllib.loads(path.read_text(encoding="utf-8"))
    columns = [(column, COLUMN_KEYS) for column in definition["column"]]
    said = [(definition, ROOT_KEYS), (definition["key"], KEY_KEYS), *columns]
    unknown = sorted({key for table, keys in said for key in table.keys() - keys})
    if unknown:
        print(f"cannot compare by {', '.join(unknown)}", file=sys.stderr)
        sys.exit(2)
    return definition


def compare(path, definition, records, rejected):
    """Gives how many rows and values were compared, and the differences."""
    read = [column for column in definition["column"] if "headers" in column]
    shown_columns = [column for column in definition["column"] if column.get("publish", True)]
    compared = [column for column in shown_columns if "headers" in column or "latitude" in column]
    by_name = {column["name"]: column for column in definition["column"]}
    places, rows = table_of(path, definition, read)
    reader, differences, values = Reader(definition), [], 0
    of_file = dict(rows)

    lines = [record["line"] for record in records]
    if lines != sorted(set(lines)):
        differences.append("the records are not in the file's order, or two are of one line")
    for line in sorted(of_file.keys() - set(lines) - rejected):
        differences.append(f"line {line}: neither a record nor rejected")
    for line in sorted((set(lines) | rejected) - of_file.keys()):
        differences.append(f"line {line}: the file has no row there")
    for line in sorted(rejected & set(lines)):
        differences.append(f"line {line}: a record, and rejected")

    for line, record in ((record["line"], record["record"]) for record in records if record["line"] in of_file):
        if list(record) != [column["name"] for column in shown_columns]:
            differences.append(f"line {line}: the columns are {', '.join(record)}")
        for column in compared:
            cells = []
            for name in [column["longitude"], column["latitude"]] if "latitude" in column else [column["name"]]:
                place = places.get(name, sys.maxsize)
                cells.append((by_name[name], of_file[line][place] if place < len(of_file[line]) else Cell(None)))
            value = record.get(column["name"])
            values += 1
            try:
                if "latitude" in column:
                    wanted = reader.place(cells)
                else:
                    wanted = reader.expected(*cells[0])
                given = None if value is None else published(column.get("type", "text"), value)
                why = "" if wanted == given else f"which says {wanted!r}"
            except Odd as error:
                why = f"which is odd ({error})"
            if why:
                said = f"line {line}, column {column['name']}: the cell is {[cell.value for _, cell in cells]}, {why}"
                differences.append(f"{said}; published is {value!r}")
    joins = [column["name"] for column in shown_columns if "join" in column]
    if joins:
        print(f"not compared, for they are joins: {', '.join(joins)}")
    return len(rows), values, differences


def main(file, definition, records, rejected):
    """Compares, prints what came of it, and gives the exit code."""
    csv.field_size_limit(sys.maxsize)
    lines = pathlib.Path(records).read_text(encoding="utf-8").split("\n")
    records = [json.loads(line, parse_float=Decimal) for line in lines if line]
    rejected = {int(line) for line in rejected.split(",") if line}
    rows, values, differences = compare(pathlib.Path(file), definition_of(pathlib.Path(definition)), records, rejected)
    if not differences:
        print(f"{rows} rows, {values} values: all the same")
        return 0
    print("\n".join(differences[:SHOWN_DIFFERENCES]))
    print(f"{rows} rows, {values} values: {len(differences)} differences")
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
