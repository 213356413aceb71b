/* detect_table.c: the recognisers, one row each, in the order of rule_id.
 *
 * A score alone says how much shape and checksum prove: a number in ten passes a checksum mod 10, so such a number counts
 * with a word beside it only (score + DETECT_CONTEXT). The few that are long, dated or of more than one check count alone. */
#include "privacy/detect_int.h"

#define NUMBER(kind, score, grouped, shape, groups, check, context, what)                                                \
    { kind, PRIVACY_PRIVATE, score, grouped, shape, 0, 0, groups, check, context, what }
#define CARD "card credit debit visa mastercard amex cc maestro"
#define SPAN(kind, least, most, score, grouped, groups, check, context, what)                                                     \
    { kind, PRIVACY_PRIVATE, score, grouped, NULL, least, most, groups, check, context, what }
#define OTHER(kind, raises, score, context, what) { kind, raises, score, score, NULL, 0, 0, NULL, NULL, context, what }

const rule detect_rules[RULES] = {
    [RULE_CARD] = SPAN("card", 15, 16, 0.9, 0.9, "f g 465 4443 4444 88", number_card, CARD,
        "payment card of 15 or 16 digits: prefix 3, 4, 50-55 or 6, Luhn"),
    [RULE_CARD_OTHER] = SPAN("card", 12, 19, 0.3, 0.5, "c d e f g h i j 444 4441 4442 464 44441 44442 44443 469",
        number_card_other, CARD, "payment card of 12 to 19 digits: prefix 1, 3, 4, 50-55 or 6, Luhn"),
    [RULE_IBAN] = SPAN("iban", 15, 34, 1.0, 1.0, "*", number_iban, "iban account bank",
        "IBAN: country, its length, ISO 7064 mod 97-10"),
    [RULE_BITCOIN] = OTHER("bitcoin", PRIVACY_PRIVATE, 1.0, "", "Bitcoin address: base58check, bech32, bech32m"),
    [RULE_EMAIL] = OTHER("email", PRIVACY_PRIVATE, 1.0, "", "e-mail address: RFC 5321 lengths, a top domain of letters"),
    [RULE_IPV4] = OTHER("ipv4", PRIVACY_PRIVATE, 0.6, "", "IPv4 address: four numbers to 255; not 0.x, 127.x, broadcast"),
    [RULE_IPV6] = OTHER("ipv6", PRIVACY_PRIVATE, 0.6, "", "IPv6 address: RFC 4291 text form; not :: and ::1"),
    [RULE_MAC] = OTHER("mac", PRIVACY_PRIVATE, 0.6, "", "MAC address: six pairs, or three fours with dots; not all 0 or F"),
    [RULE_PHONE] = OTHER("phone", PRIVACY_PRIVATE, 0.2,
        "phone telephone tel cell cellphone mobile call called calling dial fax whatsapp sms text number reach contact "
        "telefon handy telefono telefone movil celular portable puhelin",
        "telephone number: E.164, North American, or with trunk 0; other groups of 7 to 15 digits"),
    [RULE_US_SSN] = NUMBER("us_ssn", 0.2, 0.6, "ddddddddd", "9 324", number_ssn, "ssn social security",
        "US social security number: no 000, 666, 9xx, 00, 0000, no samples"),
    [RULE_US_ITIN] = NUMBER("us_itin", 0.2, 0.6, "ddddddddd", "9 324", number_itin, "itin taxpayer tax individual",
        "US taxpayer number: 9xx-[50-65, 70-88, 90-92, 94-99]-xxxx"),
    [RULE_US_ABA] = NUMBER("us_aba", 0.2, 0.2, "ddddddddd", "9 441", number_aba, "aba routing bank transit wire",
        "US routing number: first digit, weights 3 7 1, mod 10"),
    [RULE_US_NPI] = NUMBER("us_npi", 0.2, 0.2, "dddddddddd", "a 433 334", number_npi, "npi provider physician",
        "US provider number: Luhn over 80840 and it"),
    [RULE_US_DEA] = NUMBER("us_dea", 0.4, 0.4, "axddddddd", "9", number_dea, "dea license licence prescriber medical",
        "US medical licence: sum of odd places and twice the even ones, mod 10"),
    [RULE_UK_NHS] = NUMBER("uk_nhs", 0.2, 0.5, "dddddddddd", "a 334", number_nhs, "nhs patient hospital health",
        "UK health number: weights 10 to 1, mod 11"),
    [RULE_UK_NINO] = NUMBER("uk_nino", 0.5, 0.5, "aadddddda", "9 22221 27 261", number_nino, "nino insurance national",
        "UK insurance number: prefix, six digits, A to D"),
    [RULE_ES_NIF] = NUMBER("es_nif", 0.5, 0.5, "dddddddda", "9 81 2331", number_nif, "nif dni documento identidad",
        "Spanish identity number: n mod 23 names the letter"),
    [RULE_ES_NIE] = NUMBER("es_nie", 0.6, 0.6, "addddddda", "9 171 18 81", number_nie, "nie extranjero",
        "Spanish number of foreigners: X Y Z are 0 1 2, then as nif"),
    [RULE_PL_PESEL] = NUMBER("pl_pesel", 0.3, 0.3, "ddddddddddd", "b", number_pesel, "pesel",
        "Polish number: date, weights 1 3 7 9, mod 10"),
    [RULE_DE_TAX] = NUMBER("de_tax", 0.3, 0.3, "ddddddddddd", "b 2333", number_de_tax,
        "steuer steuernummer steuerid idnr tin identifikationsnummer steueridentifikationsnummer tax",
        "German tax number: ISO 7064 mod 11,10, one digit repeated"),
    [RULE_DE_RVNR] = NUMBER("de_rvnr", 0.6, 0.6, "ddddddddaddd", "c 2613 26112 813", number_rvnr,
        "rentenversicherungsnummer sozialversicherungsnummer rvnr svnr rentenversicherung",
        "German pension number: date, digit sums of weighted digits, mod 10"),
    [RULE_DE_KVNR] = NUMBER("de_kvnr", 0.4, 0.4, "addddddddd", "a 1333", number_kvnr,
        "krankenversicherung versichertennummer krankenkasse kvnr krankenversichertennummer",
        "German health insurance number: digit sums of weighted digits, mod 10"),
    [RULE_IT_CODE] = NUMBER("it_codice_fiscale", 0.9, 0.9, "aaaaaaxxaxxaxxxa", "g 3355 33551", number_it_code,
        "codice fiscale", "Italian tax code: table of odd places, mod 26"),
    [RULE_AU_ABN] = NUMBER("au_abn", 0.3, 0.6, "ddddddddddd", "b 2333", number_abn, "abn business australian",
        "Australian business number: weights 10 1 3 ... 19, mod 89"),
    [RULE_AU_TFN] = NUMBER("au_tfn", 0.2, 0.3, "ddddddddd", "9 333", number_tfn, "tfn tax file",
        "Australian tax file number: weights 1 4 3 7 5 8 6 9 10, mod 11"),
    [RULE_AU_ACN] = NUMBER("au_acn", 0.2, 0.3, "ddddddddd", "9 333", number_acn, "acn company",
        "Australian company number: weights 8 to 1, mod 10"),
    [RULE_AU_MEDICARE] = NUMBER("au_medicare", 0.2, 0.5, "dddddddddd", "a 451", number_medicare, "medicare",
        "Australian Medicare number: weights 1 3 7 9, mod 10"),
    [RULE_CA_SIN] = NUMBER("ca_sin", 0.2, 0.3, "ddddddddd", "9 333", number_sin, "sin social insurance nas",
        "Canadian insurance number: first digit, Luhn"),
    [RULE_SE_PNR] = NUMBER("se_personnummer", 0.3, 0.6, "dddddddddd", "a 64", number_pnr,
        "personnummer samordningsnummer personnr", "Swedish personal number: date, Luhn"),
    [RULE_SE_PNR12] = NUMBER("se_personnummer", 0.4, 0.7, "dddddddddddd", "c 84", number_pnr12,
        "personnummer samordningsnummer personnr", "Swedish personal number with century: date, Luhn"),
    [RULE_ZA_ID] = NUMBER("za_id", 0.4, 0.6, "ddddddddddddd", "d 6412 6421 64111", number_za, "id identity south african",
        "South African identity number: date, Luhn"),
    [RULE_IN_AADHAAR] = NUMBER("in_aadhaar", 0.3, 0.6, "dddddddddddd", "c 444", number_aadhaar, "aadhaar aadhar uidai uid",
        "Indian Aadhaar: 2 to 9 first, Verhoeff"),
    [RULE_NG_NIN] = NUMBER("ng_nin", 0.2, 0.2, "ddddddddddd", "b 434", number_nin, "nin nimc nigeria nigerian",
        "Nigerian identity number: Verhoeff"),
    [RULE_KR_RRN] = NUMBER("kr_rrn", 0.4, 0.6, "ddddddddddddd", "d 67", number_rrn, "rrn resident registration korean",
        "Korean resident number: date, weights 2 to 9, mod 11"),
    [RULE_TR_ID] = NUMBER("tr_id", 0.4, 0.4, "ddddddddddd", "b", number_tr, "tc kimlik tckn turkish vatandas",
        "Turkish identity number: two check digits"),
    [RULE_TH_ID] = NUMBER("th_id", 0.3, 0.6, "ddddddddddddd", "d 14521", number_th, "thai thailand citizen id",
        "Thai identity number: weights 13 to 2, mod 11"),
    [RULE_FI_HETU] = NUMBER("fi_hetu", 0.6, 0.6, "dddddddddx", "64", number_hetu, "hetu henkilotunnus",
        "Finnish personal code: date, n mod 31"),
    [RULE_FI_HETU_LETTER] = NUMBER("fi_hetu", 0.6, 0.6, "ddddddadddx", "b", number_hetu_letter, "hetu henkilotunnus",
        "Finnish personal code with a letter for the century: date, n mod 31"),
    [RULE_PEM] = OTHER("private_key", PRIVACY_SECRET, 1.0, "", "PEM block of a PRIVATE KEY"),
    [RULE_JWT] = OTHER("jwt", PRIVACY_SECRET, 1.0, "", "JSON web token: three base64url parts, the first eyJ"),
    [RULE_AWS] = OTHER("aws_key", PRIVACY_SECRET, 0.9, "", "AWS key id: AKIA or ASIA and 16 characters"),
    [RULE_GITHUB] = OTHER("github_token", PRIVACY_SECRET, 0.6, "", "GitHub token: CRC-32 in base 62 makes it sure"),
    [RULE_SLACK] = OTHER("slack_token", PRIVACY_SECRET, 0.9, "", "Slack token: xoxa- xoxb- xoxe- xoxo- xoxp- xoxr- xoxs-"),
    [RULE_API_KEY] = OTHER("api_key", PRIVACY_SECRET, 0.9, "", "key of a known prefix: sk-, sk_live_, AIza, glpat-, hf_, npm_"),
    [RULE_PASSWORD] = OTHER("password", PRIVACY_SECRET, 0.7, "", "password=, api_key:, secret: and the like, with a value"),
    [RULE_URL_PASSWORD] = OTHER("url_password", PRIVACY_SECRET, 0.9, "", "scheme://user:password@host"),
    [RULE_ENTROPY] = OTHER("random_token", PRIVACY_PRIVATE, 0.5, "",
        "20 or more characters of more than 4 bits each, upper, lower and digits mixed"),
    [RULE_DICTIONARY] = OTHER("dictionary", PRIVACY_PRIVATE, 1.0, "", "a word or phrase of the user's dictionary"),
};

size_t detect_n_rules(void)
{
    return RULES;
}

detect_about detect_rule_at(size_t i)
{
    const rule *r = &detect_rules[i < RULES ? i : RULES - 1];
    return (detect_about){ r->kind, r->what, r->raises, r->score, r->grouped };
}
