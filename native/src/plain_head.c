#include "multiconnect/plain.h"

#include <string.h>

/* What a header's value may consist of here: no tabs, nothing beyond ASCII. */
static bool is_plain_value(const uint8_t *text, size_t size) {
    bool plain = size == 0 || text[size - 1] != ' ';
    for (size_t i = 0; i < size; i++)
        plain &= text[i] >= 0x20 && text[i] <= 0x7E;
    return plain;
}

static bool is_letter_or_dash(uint8_t byte) {
    const uint8_t lower = byte | 0x20;
    return (lower >= 'a' && lower <= 'z') || byte == '-';
}

/* Length of the name at the start, or 0 if something else than a colon ends it. */
static size_t name_size(const uint8_t *line, size_t size) {
    size_t at = 0;
    while (at < size && (is_letter_or_dash(line[at]) || (line[at] >= '0' && line[at] <= '9')))
        at++;
    return at < size && line[at] == ':' ? at : 0;
}

/* Compare with a text of the same size in lower case, whatever the case of the letters. */
static bool equals(struct mc_piece piece, const char *lower) {
    if (piece.size != strlen(lower))
        return false;
    for (size_t i = 0; i < piece.size; i++) {
        const uint8_t byte = piece.data[i];
        if ((byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte) != (uint8_t)lower[i])
            return false;
    }
    return true;
}

/* 1 to 999,999 without leading zeros, or 0. */
static size_t number_of(struct mc_piece digits) {
    size_t number = 0;
    if (digits.size == 0 || digits.size > 6 || digits.data[0] == '0')
        return 0;
    for (size_t i = 0; i < digits.size; i++) {
        if (digits.data[i] < '0' || digits.data[i] > '9')
            return 0;
        number = 10 * number + (size_t)(digits.data[i] - '0');
    }
    return number;
}

struct state {
    struct mc_plain_head *out;
    bool host;
    bool content_type;
};

static bool take_once(struct mc_piece *place, struct mc_piece value) {
    const bool first = place->data == NULL;
    *place = value;
    return first;
}

static bool take_flag(bool *seen) {
    const bool first = !*seen;
    *seen = true;
    return first;
}

/* Note a header; false when it is not plain, or there for the second time. */
static bool take(struct state *state, struct mc_piece name, struct mc_piece value) {
    static const char *const not_plain[] = {"transfer-encoding", "expect",  "upgrade",
                                            "proxy-connection",  "trailer", "x-hub-signature-256"};
    if (equals(name, "host"))
        return take_flag(&state->host);
    if (equals(name, "content-type"))
        return take_flag(&state->content_type);
    if (equals(name, "authorization"))
        return take_once(&state->out->authorization, value);
    if (equals(name, "idempotency-key"))
        return take_once(&state->out->idempotency_key, value);
    if (equals(name, "connection"))
        return equals(value, "keep-alive");
    if (equals(name, "content-length")) {
        const bool first = state->out->body_size == 0;
        state->out->body_size = number_of(value);
        return first && state->out->body_size > 0;
    }
    for (size_t i = 0; i < sizeof not_plain / sizeof not_plain[0]; i++)
        if (equals(name, not_plain[i]))
            return false;
    return true;
}

static bool take_line(struct state *state, const uint8_t *line, size_t size) {
    const struct mc_piece name = {line, name_size(line, size)};
    if (name.size == 0)
        return false;
    struct mc_piece value = {line + name.size + 1, size - name.size - 1};
    while (value.size > 0 && value.data[0] == ' ') {
        value.data++;
        value.size--;
    }
    return is_plain_value(value.data, value.size) && take(state, name, value);
}

bool mc_plain_head_read(const uint8_t *data, size_t size, struct mc_plain_head *out) {
    struct state state = {.out = out};
    size_t at = 0;
    memset(out, 0, sizeof *out);
    if (size > MC_PLAIN_HEAD_BYTES_MAX)
        size = MC_PLAIN_HEAD_BYTES_MAX;
    for (int count = 0; count <= MC_PLAIN_HEADERS_MAX; count++) {
        const uint8_t *end = memchr(data + at, '\n', size - at);
        if (end == NULL || end == data + at || end[-1] != '\r')
            return false;
        const size_t line_size = (size_t)(end - (data + at)) - 1;
        if (line_size == 0) {
            out->body_at = at + 2;
            return state.host && out->body_size > 0;
        }
        if (!take_line(&state, data + at, line_size))
            return false;
        at += line_size + 2;
    }
    return false;
}
