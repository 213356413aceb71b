/* detect_sums.c: checksums and dates of numbers. The characters come without separators, letters in upper case, and of
 * the shape that their rule demands. Every formula is named in the table of docs/PRIVACY.md. */
#include <string.h>

#include "base/digest.h"
#include "privacy/detect_int.h"

static int value(char c)
{
    return c - '0';
}

static int two(const char *c)
{
    return value(c[0]) * 10 + value(c[1]);
}

static bool all_digits(const char *c, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!is_digit(c[i]))
            return false;
    return true;
}

static bool one_repeated(const char *c, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (c[i] != c[0])
            return false;
    return true;
}

/* ISO/IEC 7812-1: from the right every second digit doubled, its digits added. */
bool sum_luhn(const char *digits, size_t n)
{
    int sum = 0;
    for (size_t i = 0; i < n; i++) {
        int v = value(digits[n - 1 - i]) << (i & 1);
        sum += v > 9 ? v - 9 : v;
    }
    return sum % 10 == 0;
}

/* Verhoeff 1969: the dihedral group D5, and a permutation applied as often as a digit's place from the right. */
bool sum_verhoeff(const char *digits, size_t n)
{
    static const uint8_t permutation[10] = { 1, 5, 7, 6, 2, 8, 3, 0, 9, 4 };
    int sum = 0;
    for (size_t i = 0; i < n; i++) {
        int v = value(digits[n - 1 - i]);
        for (size_t k = i % 8; k; k--)
            v = permutation[v];
        if (sum < 5)
            sum = v < 5 ? (sum + v) % 5 : 5 + (sum + v - 5) % 5;
        else
            sum = v < 5 ? 5 + (sum - v) % 5 : (sum - v + 5) % 5;
    }
    return sum == 0;
}

int sum_weighted(const char *digits, const char *weights, size_t n)
{
    int sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += value(digits[i]) * weights[i];
    return sum;
}

/* CRC-32 of IEEE 802.3, reflected. */
uint32_t sum_crc32(const char *p, size_t n)
{
    uint32_t crc = ~0u;
    for (size_t i = 0; i < n; i++) {
        crc ^= (unsigned char)p[i];
        for (int k = 0; k < 8; k++)
            crc = crc >> 1 ^ (0xedb88320u & (0u - (crc & 1)));
    }
    return ~crc;
}

bool date_valid(int month, int day)
{
    static const uint8_t days[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    return month >= 1 && month <= 12 && day >= 1 && day <= days[month - 1];
}

/* ---- money ---- */

bool number_card_other(const char *c, size_t n)
{
    bool prefix = c[0] == '4' || c[0] == '6' || c[0] == '3' || c[0] == '1' || (c[0] == '5' && c[1] <= '5');
    return all_digits(c, n) && prefix && !one_repeated(c, n) && sum_luhn(c, n);
}

bool number_card(const char *c, size_t n)
{
    return c[0] != '1' && number_card_other(c, n);
}

/* The SWIFT registry of IBAN formats: country and length. */
static const char iban_lengths[] =
    "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BI27BR29BY28CH21CR22CY28CZ24DE22DJ27DK18DO28EE20EG29ES24FI18FK18FO18FR27GB22"
    "GE22GI23GL18GR27GT28HN28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21LT20LU20LV21LY25MC27MD24ME22MK19MN20"
    "MR27MT31MU30NI28NL18NO15OM23PK24PL28PS29PT25QA29RO24RS22RU33SA24SC31SD18SE24SI19SK24SM27SO23ST25SV28TL23TN24TR26"
    "UA29VA22VG24XK20YE30";

bool number_iban(const char *c, size_t n)
{
    size_t length = 0;
    for (const char *row = iban_lengths; *row && !length; row += 4)
        if (row[0] == c[0] && row[1] == c[1])
            length = (size_t)two(row + 2);
    if (length != n || !is_digit(c[2]) || !is_digit(c[3]))
        return false;
    unsigned rest = 0; /* ISO 7064 mod 97-10: the first four characters come last, letters count 10 to 35 */
    for (size_t i = 0; i < n; i++) {
        char x = c[(i + 4) % n];
        rest = is_digit(x) ? (rest * 10 + (unsigned)value(x)) % 97 : (rest * 100 + (unsigned)(x - 'A') + 10) % 97;
    }
    return rest == 1;
}

bool number_aba(const char *c, size_t n)
{
    (void)n;
    return !strchr("459", c[0]) && sum_weighted(c, "\3\7\1\3\7\1\3\7\1", 9) % 10 == 0 && !one_repeated(c, 9);
}

static bool base58check(const char *p, size_t n)
{
    static const char alphabet[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    uint8_t bytes[25] = { 0 }, once[DIGEST_BYTES], twice[DIGEST_BYTES];
    for (size_t i = 0; i < n; i++) {
        const char *at = p[i] ? strchr(alphabet, p[i]) : NULL;
        unsigned carry = at ? (unsigned)(at - alphabet) : 256;
        for (size_t k = 25; at && k-- > 0; carry >>= 8) {
            carry += bytes[k] * 58u;
            bytes[k] = (uint8_t)carry;
        }
        if (carry)
            return false;
    }
    digest *a = digest_open(), *b = digest_open();
    bool ok = a && b && (bytes[0] == 0 || bytes[0] == 5);
    if (ok)
        digest_add(a, bytes, 21);
    digest_close(&a, once);
    if (ok)
        digest_add(b, once, sizeof once);
    digest_close(&b, twice);
    return ok && memcmp(twice, bytes + 21, 4) == 0;
}

/* BIP 173 and BIP 350: the checksum of witness version 0 ends in 1, of the others in 0x2bc830a3. */
static bool bech32(const char *p, size_t n)
{
    static const char alphabet[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    static const uint32_t generator[5] = { 0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3 };
    const uint8_t prefix[] = { 3, 3, 0, (uint8_t)((p[0] | 0x20) & 31), (uint8_t)((p[1] | 0x20) & 31) };
    uint32_t sum = 1;
    for (size_t i = 0; i < 5 + n - 3; i++) {
        const char *at = i < 5 ? NULL : strchr(alphabet, is_upper(p[i - 2]) ? p[i - 2] | 0x20 : p[i - 2]);
        if (i >= 5 && (!at || !*at))
            return false;
        uint32_t v = i < 5 ? prefix[i] : (uint32_t)(at - alphabet), top = sum >> 25;
        sum = (sum & 0x1ffffff) << 5 ^ v;
        for (int k = 0; k < 5; k++)
            sum ^= top >> k & 1 ? generator[k] : 0;
    }
    return sum == ((p[3] | 0x20) == 'q' ? 1 : 0x2bc830a3u);
}

bool bitcoin_address(const char *p, size_t n)
{
    if (n >= 14 && n <= 74 && ((p[0] | 0x20) == 'b' || (p[0] | 0x20) == 't') && p[2] == '1')
        return (p[1] | 0x20) == ((p[0] | 0x20) == 'b' ? 'c' : 'b') && bech32(p, n);
    return n >= 26 && n <= 35 && (p[0] == '1' || p[0] == '3') && base58check(p, n);
}

/* ---- United States ---- */

bool number_ssn(const char *c, size_t n)
{
    static const char *const samples[] = { "078051120", "123456789", "987654320", "987654321" };
    for (size_t i = 0; i < ARRAY_LEN(samples); i++)
        if (memcmp(c, samples[i], n) == 0)
            return false;
    return !one_repeated(c, n) && c[0] != '9' && memcmp(c, "000", 3) != 0 && memcmp(c, "666", 3) != 0 &&
           memcmp(c + 3, "00", 2) != 0 && memcmp(c + 5, "0000", 4) != 0;
}

bool number_itin(const char *c, size_t n)
{
    (void)n;
    int group = two(c + 3);
    return c[0] == '9' && group >= 50 && group != 89 && group != 93 && (group <= 65 || group >= 70);
}

bool number_npi(const char *c, size_t n)
{
    char whole[15] = "80840";
    memcpy(whole + 5, c, n);
    return (c[0] == '1' || c[0] == '2') && sum_luhn(whole, sizeof whole);
}

bool number_dea(const char *c, size_t n)
{
    (void)n;
    return strchr("ABCDEFGHJKLMPRSTUX", c[0]) && sum_weighted(c + 2, "\1\2\1\2\1\2", 6) % 10 == value(c[8]);
}

/* ---- Europe ---- */

bool number_nhs(const char *c, size_t n)
{
    return !one_repeated(c, n) && sum_weighted(c, "\12\11\10\7\6\5\4\3\2\1", 10) % 11 == 0;
}

bool number_nino(const char *c, size_t n)
{
    static const char *const never[] = { "BG", "GB", "NK", "KN", "NT", "TN", "ZZ" };
    for (size_t i = 0; i < ARRAY_LEN(never); i++)
        if (memcmp(c, never[i], 2) == 0)
            return false;
    return !strchr("DFIQUV", c[0]) && !strchr("DFIQUVO", c[1]) && c[n - 1] <= 'D';
}

static bool spanish_letter(int number, char letter)
{
    return "TRWAGMYFPDXBNJZSQVHLCKE"[number % 23] == letter;
}

static int as_number(const char *c, size_t n)
{
    int v = 0;
    for (size_t i = 0; i < n; i++)
        v = v * 10 + value(c[i]);
    return v;
}

bool number_nif(const char *c, size_t n)
{
    return spanish_letter(as_number(c, n - 1), c[n - 1]);
}

bool number_nie(const char *c, size_t n)
{
    return c[0] >= 'X' && c[0] <= 'Z' && spanish_letter((c[0] - 'X') * 10000000 + as_number(c + 1, n - 2), c[n - 1]);
}

/* The century is in the month: +80, 0, +20, +40, +60. */
bool number_pesel(const char *c, size_t n)
{
    (void)n;
    return date_valid(two(c + 2) % 20, two(c + 4)) && sum_weighted(c, "\1\3\7\11\1\3\7\11\1\3\1", 11) % 10 == 0;
}

/* ISO 7064 mod 11,10; of the first ten digits exactly one occurs more often than once, twice or three times. */
bool number_de_tax(const char *c, size_t n)
{
    uint8_t times[10] = { 0 }, most = 0, repeated = 0;
    int product = 10;
    for (size_t i = 0; i + 1 < n; i++) {
        uint8_t t = ++times[value(c[i])];
        most = t > most ? t : most;
        repeated += t == 2;
        int sum = (value(c[i]) + product) % 10;
        product = (sum ? sum : 10) * 2 % 11;
    }
    return c[0] != '0' && repeated == 1 && most <= 3 && (11 - product) % 10 == value(c[n - 1]);
}

/* A letter counts as its two digits, 01 to 26, and of each product the digits are added. */
static bool german_sum(const char *digits, const char *weights, size_t n, char last)
{
    int sum = 0;
    for (size_t i = 0; i < n; i++) {
        int v = value(digits[i]) * weights[i];
        sum += v / 10 + v % 10;
    }
    return sum % 10 == value(last);
}

static void letter_digits(char letter, char out[2])
{
    out[0] = (char)('0' + (letter - 'A' + 1) / 10);
    out[1] = (char)('0' + (letter - 'A' + 1) % 10);
}

bool number_rvnr(const char *c, size_t n)
{
    char digits[12];
    memcpy(digits, c, 8);
    letter_digits(c[8], digits + 8);
    memcpy(digits + 10, c + 9, 2);
    int day = two(c + 2) > 50 ? two(c + 2) - 50 : two(c + 2); /* +50: the second of one day and name */
    return date_valid(two(c + 4), day) && german_sum(digits, "\2\1\2\5\7\1\2\1\2\1\2\1", 12, c[n - 1]);
}

bool number_kvnr(const char *c, size_t n)
{
    char digits[10];
    letter_digits(c[0], digits);
    memcpy(digits + 2, c + 1, 8);
    return german_sum(digits, "\1\2\1\2\1\2\1\2\1\2", 10, c[n - 1]);
}

/* Odd places (from 1) by a table, even ones by value, mod 26. */
bool number_it_code(const char *c, size_t n)
{
    static const uint8_t odd[26] = { 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22,
                                     25, 24, 23 };
    int sum = 0;
    for (size_t i = 0; i + 1 < n; i++) {
        bool number = i == 6 || i == 7 || i == 9 || i == 10 || (i >= 12 && i <= 14);
        if (number && !is_digit(c[i]) && !strchr("LMNPQRSTUV", c[i])) /* these stand for digits where codes clash */
            return false;
        int v = is_digit(c[i]) ? value(c[i]) : c[i] - 'A';
        sum += i % 2 ? v : odd[v];
    }
    return strchr("ABCDEHLMPRST", c[8]) && sum % 26 == c[n - 1] - 'A';
}

bool number_pnr(const char *c, size_t n)
{
    int day = two(c + 4);
    return date_valid(two(c + 2), day > 60 ? day - 60 : day) && sum_luhn(c, n); /* +60: a coordination number */
}

bool number_pnr12(const char *c, size_t n)
{
    int century = two(c);
    return (century == 19 || century == 20) && number_pnr(c + 2, n - 2);
}

static bool finnish(const char *date, const char *serial, char last)
{
    return date_valid(two(date + 2), two(date)) && as_number(serial, 3) >= 2 &&
           "0123456789ABCDEFHJKLMNPRSTUVWXY"[(as_number(date, 6) * 1000LL + as_number(serial, 3)) % 31] == last;
}

bool number_hetu(const char *c, size_t n)
{
    return finnish(c, c + 6, c[n - 1]);
}

bool number_hetu_letter(const char *c, size_t n)
{
    return strchr("ABCDEFUVWXY", c[6]) && finnish(c, c + 7, c[n - 1]);
}

/* Odd places times 7 less even places gives the tenth digit, the sum of ten the eleventh. */
bool number_tr(const char *c, size_t n)
{
    (void)n;
    int odd = sum_weighted(c, "\1\0\1\0\1\0\1\0\1", 9), even = sum_weighted(c, "\0\1\0\1\0\1\0\1\0", 9);
    int tenth = ((odd * 7 - even) % 10 + 10) % 10;
    return c[0] != '0' && tenth == value(c[9]) && (odd + even + tenth) % 10 == value(c[10]);
}

/* ---- Australia, Canada, Africa, Asia ---- */

bool number_abn(const char *c, size_t n)
{
    (void)n;
    return c[0] != '0' && (sum_weighted(c, "\12\1\3\5\7\11\13\15\17\21\23", 11) - 10) % 89 == 0;
}

bool number_tfn(const char *c, size_t n)
{
    return sum_weighted(c, "\1\4\3\7\5\10\6\11\12", 9) % 11 == 0 && !one_repeated(c, n);
}

bool number_acn(const char *c, size_t n)
{
    return sum_weighted(c, "\10\7\6\5\4\3\2\1\1", 9) % 10 == 0 && !one_repeated(c, n);
}

bool number_medicare(const char *c, size_t n)
{
    (void)n;
    return c[0] >= '2' && c[0] <= '6' && sum_weighted(c, "\1\3\7\11\1\3\7\11", 8) % 10 == value(c[8]);
}

bool number_sin(const char *c, size_t n)
{
    return c[0] != '0' && c[0] != '8' && sum_luhn(c, n) && !one_repeated(c, n);
}

bool number_za(const char *c, size_t n)
{
    return date_valid(two(c + 2), two(c + 4)) && c[10] <= '2' && sum_luhn(c, n);
}

bool number_aadhaar(const char *c, size_t n)
{
    return c[0] >= '2' && !one_repeated(c, n) && sum_verhoeff(c, n);
}

bool number_nin(const char *c, size_t n)
{
    return !one_repeated(c, n) && sum_verhoeff(c, n);
}

bool number_rrn(const char *c, size_t n)
{
    (void)n;
    int sum = sum_weighted(c, "\2\3\4\5\6\7\10\11\2\3\4\5", 12);
    return date_valid(two(c + 2), two(c + 4)) && (11 - sum % 11) % 10 == value(c[12]);
}

bool number_th(const char *c, size_t n)
{
    (void)n;
    int sum = sum_weighted(c, "\15\14\13\12\11\10\7\6\5\4\3\2", 12);
    return c[0] != '0' && c[0] != '9' && (11 - sum % 11) % 10 == value(c[12]);
}
