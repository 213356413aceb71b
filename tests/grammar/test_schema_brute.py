"""Numbers, dates and times by brute force: which texts the generator's language has, against arithmetic and the calendar.

Every text of a language must be valid, and every valid value must have its plainest text in it."""
import calendar, itertools, json, sys
from decimal import Decimal

import schema_peers
from schema_peers import Serve


def plain(d):
    """Without exponent and trailing zeros: the text that must be there."""
    text = format(d.normalize(), "f")
    return "0" if text in ("-0", "0") else text


def in_range(d, low, high, low_open, high_open):
    return (low is None or d > low or (d == low and not low_open)) and (high is None or d < high or (d == high and not high_open))


def texts_of_decimals():
    """Canonical and other texts of -25 to 125 with up to two digits behind the point."""
    wholes = [str(w) for w in itertools.chain(range(0, 26), (99, 100, 101, 123, 124, 125))]
    parts = ["", ".0", ".5", ".00", ".25", ".05", ".50", ".01", ".99", ".1"]
    texts = [sign + w + p for sign in ("", "-") for w in wholes for p in parts]
    return texts + ["00", "01", "-", "1.", ".5", "+1", "1e1", "1E0", " 1", "-01", "0.0.0", ""]


def bounded(low, high, low_open, high_open):
    schema = {}
    if low is not None:
        schema["exclusiveMinimum" if low_open else "minimum"] = low
    if high is not None:
        schema["exclusiveMaximum" if high_open else "maximum"] = high
    return schema


def is_canonical(text):
    body = text[1:] if text.startswith("-") else text
    whole, dot, part = body.partition(".")
    return whole.isdigit() and (whole == "0" or whole[0] != "0") and (not dot or part.isdigit())


def accepted(serve, schema, lines):
    r = serve.ask_text(json.dumps({"schema": "SCHEMA", "lines": lines, "values": []}).replace('"SCHEMA"', schema))
    assert not r["error"], (schema, r["error"])
    if r["grammar"]:
        assert "no document" in r["grammar"] or "multipleOf" in r["grammar"], (schema, r["grammar"])
        return None if "multipleOf" in r["grammar"] else [False] * len(lines)
    return r["accepts"]


def text_of(schema):
    return json.dumps(schema, default=str).replace('"<', "").replace('>"', "")


def numbers(serve):
    bad, n = [], 0
    bounds = [None] + [Decimal(b) for b in ("-20", "-2.5", "-1", "-0.05", "0", "0.5", "1", "9.99", "10", "12.25", "100", "123.5")]
    lines = texts_of_decimals()
    for low, high in itertools.product(bounds, bounds):
        for low_open, high_open in itertools.product((False, True), (False, True)):
            if (low is None and low_open) or (high is None and high_open):
                continue
            for kind in ("integer", "number"):
                schema = {"type": kind, **{k: f"<{v}>" for k, v in bounded(low, high, low_open, high_open).items()}}
                got = accepted(serve, text_of(schema), lines)
                for text, a in zip(lines, got):
                    n += 1
                    canonical = is_canonical(text)
                    d = Decimal(text) if canonical else None
                    valid = canonical and in_range(d, low, high, low_open, high_open)
                    if kind == "integer":
                        valid = valid and "." not in text and text != "-0"
                    if canonical and d == 0 and text.startswith("-"):
                        valid = a and valid  # -0.0: allowed, not promised
                    if kind == "number" and low is None and high is None:
                        valid = valid or (a and text in ("1e1", "1E0", "-0", "-0.0"))
                    if a != valid:
                        bad.append(f"{text_of(schema)}: '{text}' {a}, expected {valid}")
    print(f"numbers: {n} texts, {len(bad)} differ")
    return bad


def multiples(serve):
    bad, n, refused = [], 0, 0
    steps = [Decimal(s) for s in ("1", "2", "3", "4", "5", "6", "7", "8", "10", "15", "25", "100", "0.5", "0.25", "0.1", "0.01", "0.05", "0.3", "2.5")]
    ranges = [(None, None), (Decimal(0), None), (Decimal("-3"), Decimal("12.5")), (Decimal("0.2"), Decimal(101))]
    values = sorted({Decimal(i) / 100 for i in range(-400, 1400, 5)} | {Decimal(i) for i in range(-25, 130)} | {Decimal("0.01"), Decimal("0.3"), Decimal("1000"), Decimal("125.01")})
    for step, (low, high), kind in itertools.product(steps, ranges, ("integer", "number")):
        schema = {"type": kind, "multipleOf": f"<{step}>", **{k: f"<{v}>" for k, v in bounded(low, high, False, False).items()}}
        lines = [plain(v) for v in values] + [f"{v:.2f}" for v in values]
        got = accepted(serve, text_of(schema), lines)
        if got is None:
            refused += 1
            if low is not None and high is not None:
                bad.append(f"{text_of(schema)}: refused, but there are few")
            continue
        for text, a in zip(lines, got):
            n += 1
            d = Decimal(text)
            valid = in_range(d, low, high, False, False) and d % step == 0 and (kind == "number" or d == d.to_integral_value())
            plainest = text == plain(d)
            if (a and not valid) or (valid and plainest and not a):
                bad.append(f"{text_of(schema)}: '{text}' {a}, expected {valid}")
    print(f"multiples: {n} texts, {refused} refused, {len(bad)} differ")
    return bad


def dates(serve):
    lines, expected = [], []
    for year in (0, 1, 4, 99, 100, 400, 1600, 1900, 1999, 2000, 2023, 2024, 2100, 9999):
        for month, day in itertools.product(range(0, 14), range(0, 33)):
            lines.append(f"{year:04}-{month:02}-{day:02}")
            expected.append(1 <= month <= 12 and 1 <= day <= (calendar.monthrange(year or 2000, month)[1] if 1 <= month <= 12 else 0))
    lines += ["2024-1-01", "24-01-01", "2024-01-01 ", "2024/01/01", "12024-01-01", "2024-W01-1"]
    expected += [False] * 6
    r = serve(schema={"format": "date"}, values=lines, lines=[json.dumps(t) for t in lines])
    bad = [f"date {t}: checked {v}, generated {a}, expected {e}" for t, e, v, a in zip(lines, expected, r["valid"], r["accepts"])
           if v != e or a != (e and not t.startswith("0000"))]
    print(f"dates: {len(lines)}, {len(bad)} differ")
    return bad


def times(serve):
    lines, expected = [], []
    zones = [("Z", 0), ("+00:00", 0), ("+01:30", 90), ("-08:00", -480), ("+23:59", 1439), ("-23:59", -1439), ("+24:00", None), ("", None), ("+1:00", None)]
    for hour, minute, second in itertools.product((0, 1, 7, 15, 22, 23, 24), (0, 29, 30, 58, 59, 60), ("00", "59", "60", "61", "30.5", "60.25", "1")):
        for zone, offset in zones:
            lines.append(f"{hour:02}:{minute:02}:{second}{zone}")
            fits = hour < 24 and minute < 60 and offset is not None and len(second.split(".")[0]) == 2
            leap = second.startswith("60") and offset is not None and (hour * 60 + minute - offset) % 1440 == 1439
            expected.append(fits and (int(second.split(".")[0]) < 60 or leap))
    bad = []
    for name, before in (("time", ""), ("date-time", "2024-02-29T"), ("date-time", "2023-02-29T")):
        texts = [before + t for t in lines]
        want = [e and "2023" not in before for e in expected]
        r = serve(schema={"format": name}, values=texts, lines=[json.dumps(t) for t in texts])
        bad += [f"{name} {t}: checked {v}, generated {a}, expected {e}" for t, e, v, a in zip(texts, want, r["valid"], r["accepts"])
                if v != e or a != (e and ":60" not in t)]
    print(f"times: {3 * len(lines)}, {len(bad)} differ")
    return bad


def main():
    serve = Serve()
    bad = numbers(serve) + multiples(serve) + dates(serve) + times(serve)
    print("\n".join(bad[:40]))
    return 1 if bad else 0


sys.exit(main())
