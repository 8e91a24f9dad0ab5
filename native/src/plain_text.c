#include "multiconnect/plain.h"

#include "multiconnect/bytes.h"
#include "multiconnect/utf8.h"

#include <string.h>

/* What is left to read. Reading past the end gives 0, which is no part of JSON. */
struct cursor {
    const uint8_t *at;
    const uint8_t *end;
};

static uint8_t peek(const struct cursor *c) { return c->at < c->end ? *c->at : 0; }

static bool skip(struct cursor *c, uint8_t byte) {
    if (peek(c) != byte)
        return false;
    c->at++;
    return true;
}

static bool is_space(uint8_t byte) {
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

static void skip_space(struct cursor *c) {
    while (c->at < c->end && is_space(*c->at))
        c->at++;
}

size_t mc_json_space(const uint8_t *data, size_t size) {
    struct cursor c = {data, data + size};
    skip_space(&c);
    return (size_t)(c.at - data);
}

#define ONES 0x0101010101010101U
#define HIGHS 0x8080808080808080U
#define HAS_ZERO(word) (((word) - ONES) & ~(word) & HIGHS)

/* Move over characters that mean themselves, eight at a time; the last ones before the end are
   left. The lowest bit found is exact, as borrows only reach upwards. */
static void skip_ordinary(struct cursor *c) {
    while (c->end - c->at >= 8) {
        const uint64_t word = mc_load64(c->at);
        const uint64_t control = (word - ONES * 0x20) & ~word;
        const uint64_t marks = HAS_ZERO(word ^ ONES * '"') | HAS_ZERO(word ^ ONES * '\\');
        const uint64_t special = (word | control | marks) & HIGHS;
        if (special != 0) {
            c->at += __builtin_ctzll(special) / 8;
            return;
        }
        c->at += 8;
    }
}

/* The four hexadecimal digits of an escape, or -1. */
static int hex4(struct cursor *c) {
    int value = 0;
    for (int i = 0; i < 4; i++) {
        const uint8_t byte = peek(c), lower = byte | 0x20;
        if (byte >= '0' && byte <= '9')
            value = 16 * value + (byte - '0');
        else if (lower >= 'a' && lower <= 'f')
            value = 16 * value + (lower - 'a' + 10);
        else
            return -1;
        c->at++;
    }
    return value;
}

/* Move behind an escape; a surrogate without its other half is none. */
static bool skip_escape(struct cursor *c) {
    const uint8_t byte = peek(c);
    if (byte == 0 || strchr("\"\\/bfnrtu", byte) == NULL)
        return false;
    c->at++;
    if (byte != 'u')
        return true;
    const int first = hex4(c);
    if (first < 0xD800 || first > 0xDFFF)
        return first >= 0;
    if (first > 0xDBFF || !skip(c, '\\') || !skip(c, 'u'))
        return false;
    const int second = hex4(c);
    return second >= 0xDC00 && second <= 0xDFFF;
}

/* Read a string; what it says is left in its escapes. */
static bool read_string(struct cursor *c, struct mc_piece *out) {
    if (!skip(c, '"'))
        return false;
    const uint8_t *start = c->at;
    bool ascii = true;
    for (;;) {
        skip_ordinary(c);
        const uint8_t byte = peek(c);
        if (byte < 0x20)
            return false;
        if (byte == '"')
            break;
        ascii &= byte < 0x80;
        c->at++;
        if (byte == '\\' && !skip_escape(c))
            return false;
    }
    *out = (struct mc_piece){start, (size_t)(c->at - start)};
    c->at++;
    return ascii || mc_utf8_is_valid(start, out->size);
}

static bool equals(struct mc_piece piece, const char *text) {
    return piece.size == strlen(text) && memcmp(piece.data, text, piece.size) == 0;
}

static bool read_exactly(struct cursor *c, const char *expected) {
    struct mc_piece found;
    return read_string(c, &found) && equals(found, expected);
}

static bool read_boolean(struct cursor *c) {
    const char *word = peek(c) == 't' ? "true" : "false";
    const size_t size = strlen(word);
    if ((size_t)(c->end - c->at) < size || memcmp(c->at, word, size) != 0)
        return false;
    c->at += size;
    return true;
}

static bool read_digits(struct cursor *c, struct mc_piece *out) {
    if (!read_string(c, out))
        return false;
    if (out->size > 0 && out->data[0] == '+') {
        out->data++;
        out->size--;
    }
    for (size_t i = 0; i < out->size; i++)
        if (out->data[i] < '0' || out->data[i] > '9')
            return false;
    return out->size > 0 && out->size <= MC_PLAIN_DIGITS_MAX;
}

/* Which field of the message or of its text; each may be there once. */
enum field {
    TO = 1,
    TYPE = 2,
    TEXT = 4,
    PRODUCT = 8,
    RECIPIENT_TYPE = 16,
    PREVIEW = 32,
    BODY = 64,
};

typedef bool read_field(struct cursor *c, struct mc_piece name, unsigned *seen, void *into);

/* Read an object whose fields `read` knows; they are noted in `seen`. */
static bool read_object(struct cursor *c, read_field *read, unsigned *seen, void *into) {
    if (!skip(c, '{'))
        return false;
    do {
        struct mc_piece name;
        skip_space(c);
        if (!read_string(c, &name))
            return false;
        skip_space(c);
        if (!skip(c, ':'))
            return false;
        skip_space(c);
        if (!read(c, name, seen, into))
            return false;
        skip_space(c);
    } while (skip(c, ','));
    return skip(c, '}');
}

static bool first(unsigned *seen, enum field field) {
    const bool is_first = (*seen & (unsigned)field) == 0;
    *seen |= (unsigned)field;
    return is_first;
}

static bool read_text_field(struct cursor *c, struct mc_piece name, unsigned *seen, void *into) {
    struct mc_piece *body = into;
    if (equals(name, "body"))
        return first(seen, BODY) && read_string(c, body) && body->size > 0 &&
               body->size <= MC_PLAIN_TEXT_BYTES_MAX;
    return equals(name, "preview_url") && first(seen, PREVIEW) && read_boolean(c);
}

static bool read_text(struct cursor *c) {
    struct mc_piece body;
    unsigned seen = 0;
    return read_object(c, read_text_field, &seen, &body) && (seen & BODY) != 0;
}

static bool read_message_field(struct cursor *c, struct mc_piece name, unsigned *seen, void *into) {
    struct mc_piece *digits = into;
    if (equals(name, "to"))
        return first(seen, TO) && read_digits(c, digits);
    if (equals(name, "type"))
        return first(seen, TYPE) && read_exactly(c, "text");
    if (equals(name, "text"))
        return first(seen, TEXT) && read_text(c);
    if (equals(name, "messaging_product"))
        return first(seen, PRODUCT) && read_exactly(c, "whatsapp");
    if (equals(name, "recipient_type"))
        return first(seen, RECIPIENT_TYPE) && read_exactly(c, "individual");
    return equals(name, "preview_url") && first(seen, PREVIEW) && read_boolean(c);
}

size_t mc_plain_text_read(const uint8_t *data, size_t size, struct mc_piece *digits) {
    struct cursor c = {data, data + size};
    unsigned seen = 0;
    if (!read_object(&c, read_message_field, &seen, digits))
        return 0;
    if ((seen & (TO | TEXT)) != (TO | TEXT) || c.at - data > MC_PLAIN_MESSAGE_BYTES_MAX)
        return 0;
    return (size_t)(c.at - data);
}

/* Move behind the string that begins here, without looking at what it says. */
static bool pass_string(struct cursor *c) {
    c->at++;
    for (;;) {
        skip_ordinary(c);
        if (c->at == c->end)
            return false;
        const uint8_t byte = *c->at++;
        if (byte == '"')
            return true;
        if (byte == '\\' && c->at < c->end)
            c->at++;
    }
}

size_t mc_json_value_size(const uint8_t *data, size_t size) {
    struct cursor c = {data, data + size};
    size_t depth = 0;
    while (c.at < c.end) {
        const uint8_t byte = *c.at;
        if (byte == '"') {
            if (!pass_string(&c))
                return 0;
            if (depth == 0)
                break;
            continue;
        }
        const bool closes = byte == ']' || byte == '}';
        if (depth == 0 && (closes || byte == ',' || is_space(byte)))
            break;
        c.at++;
        depth += byte == '[' || byte == '{';
        if (closes && --depth == 0)
            break;
    }
    return depth == 0 ? (size_t)(c.at - data) : 0;
}
