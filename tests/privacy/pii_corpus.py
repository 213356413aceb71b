"""Sentences with personal data: the templates of presidio-evaluator, filled with its invented people (tools/fetch presidio).

A sentence counts as personal when one of PERSONAL stands in its template; the others are about firms, countries, dates, ages.
The people's cards, accounts and addresses on the net are drawn here, with valid checksums."""
import csv
import pathlib
import random
import re

PERSONAL = set("""credit_card_number first_name person address street_name name phone_number last_name building_number
secondary_address postcode email zipcode name_female url name_male iban first_name_male ssn ip_address us_driver_license
last_name_male last_name_female first_name_nonbinary first_name_female""".split())
IBANS = {"DE": 18, "GB": None, "FR": 23, "ES": 20, "NL": None, "AT": 16, "BE": 12, "CH": 17, "PL": 24}


def luhn_digit(digits):
    total = 0
    for i, d in enumerate(reversed(digits)):
        d = int(d) * (2 - i % 2)
        total += d // 10 + d % 10
    return str(-total % 10)


def card(r):
    prefix, n = r.choice([("4", 16), ("4", 16), ("5" + r.choice("12345"), 16), ("34", 15), ("37", 15), ("6011", 16), ("35", 16)])
    body = prefix + "".join(r.choice("0123456789") for _ in range(n - 1 - len(prefix)))
    whole = body + luhn_digit(body)
    groups = [whole[:4], whole[4:10], whole[10:]] if n == 15 else [whole[i:i + 4] for i in range(0, n, 4)]
    return r.choice(["", "", " ", "-"]).join(groups)


def iban(r):
    country = r.choice([c for c, n in IBANS.items() if n])
    body = "".join(r.choice("0123456789") for _ in range(IBANS[country]))
    check = 98 - int("".join(str(int(c, 36)) for c in body + country) + "00") % 97
    whole = f"{country}{check:02}{body}"
    return r.choice([whole, " ".join(whole[i:i + 4] for i in range(0, len(whole), 4))])


def values(person, r):
    first, last = person["GivenName"], person["Surname"]
    street = person["StreetAddress"]
    number = re.search(r"\d+\w?", street)
    name = r.choice([f"{first} {last}", f"{first} {last}", f"{first} {person['MiddleInitial']}. {last}"])
    address = f"{street}, {person['City']} {person['ZipCode']}, {person['CountryFull']}"
    out = {
        "credit_card_number": card(r), "iban": iban(r), "email": person["EmailAddress"], "url": "http://www." + person["Domain"],
        "phone_number": r.choice([person["TelephoneNumber"], f"+{person['TelephoneCountryCode']} {person['TelephoneNumber']}"]),
        "address": address, "street_name": re.sub(r"\s*\d+\w?\s*", " ", street).strip(),
        "building_number": number[0] if number else str(r.randint(1, 300)), "zipcode": person["ZipCode"],
        "postcode": person["ZipCode"], "secondary_address": r.choice(["Apt. {}", "Suite {}", "Flat {}"]).format(r.randint(1, 900)),
        "city": person["City"], "country": person["CountryFull"], "nationality": person["NameSet"], "organization": person["Company"],
        "ssn": f"{r.randint(1, 665):03}-{r.randint(1, 99):02}-{r.randint(1, 9999):04}", "age": person["Age"],
        "ip_address": ".".join(str(r.randint(11, 126)) for _ in range(4)), "job": person["Occupation"],
        "us_driver_license": r.choice("ABCDGHMSTW") + str(r.randint(10**6, 10**8)), "date_of_birth": person["Birthday"],
        "date_time": f"{r.randint(1, 12)}/{r.randint(1, 28)}/{r.randint(1990, 2024)}", "year": str(r.randint(1950, 2024)),
        "day_of_week": r.choice(["Monday", "Friday"]), "state_abbr": person["State"] or "NY", "prefix": person["Title"],
        "nation_woman": person["NameSet"] + " woman", "nation_plural": person["NameSet"] + "s",
    }
    out.update({k: name for k in ("person", "name", "name_female", "name_male")})
    out.update({k: person["Title"] for k in ("prefix_male", "prefix_female")})
    for kind in ("", "_male", "_female", "_nonbinary"):
        out.update({"first_name" + kind: first, "last_name" + kind: last})
    return out


def sentences(folder, times=6, seed=1):
    """[(text, personal?, kinds)]: each template `times` times."""
    folder, r, out = pathlib.Path(folder), random.Random(seed), []
    with open(folder / "FakeNameGenerator.com_3000.csv", encoding="utf-8-sig", newline="") as f:
        people = list(csv.DictReader(f))
    lines = (folder / "templates.txt").read_text(encoding="utf-8").splitlines()
    for template in (line.strip() for line in lines if line.strip()):
        kinds = re.findall(r"{{(\w+)}}", template)
        for _ in range(times):
            fill = values(r.choice(people), r)
            text = re.sub(r"{{(\w+)}}", lambda m, fill=fill: fill[m[1].lower()], template).replace("\\n", " ")
            out.append((text.replace("\n", " "), bool(PERSONAL & {k.lower() for k in kinds}), kinds))
    return out
