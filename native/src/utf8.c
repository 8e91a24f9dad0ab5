#include "multiconnect/utf8.h"

#include "multiconnect/bytes.h"

/* Length of the ASCII text at the start, to within eight bytes below. */
static size_t ascii_words(const uint8_t *text, size_t size) {
    size_t at = 0;
    while (at + 8 <= size && (mc_load64(text + at) & 0x8080808080808080U) == 0)
        at += 8;
    return at;
}

static bool is_continuation(uint8_t byte) { return (byte & 0xC0) == 0x80; }

/* Length of the one multi-byte character at the start, or 0 if there is none. */
static size_t character_length(const uint8_t *text, size_t size) {
    const uint8_t lead = text[0];
    size_t length;
    uint8_t second_min = 0x80, second_max = 0xBF; /* narrower where overlong or out of range */
    if (lead >= 0xC2 && lead <= 0xDF) {
        length = 2;
    } else if (lead >= 0xE0 && lead <= 0xEF) {
        length = 3;
        second_min = lead == 0xE0 ? 0xA0 : 0x80;
        second_max = lead == 0xED ? 0x9F : 0xBF;
    } else if (lead >= 0xF0 && lead <= 0xF4) {
        length = 4;
        second_min = lead == 0xF0 ? 0x90 : 0x80;
        second_max = lead == 0xF4 ? 0x8F : 0xBF;
    } else {
        return 0;
    }
    if (length > size || text[1] < second_min || text[1] > second_max)
        return 0;
    for (size_t i = 2; i < length; i++)
        if (!is_continuation(text[i]))
            return 0;
    return length;
}

bool mc_utf8_is_valid(const uint8_t *text, size_t size) {
    size_t at = ascii_words(text, size);
    while (at < size) {
        if (text[at] < 0x80) {
            at++;
            continue;
        }
        const size_t length = character_length(text + at, size - at);
        if (length == 0)
            return false;
        at += length;
    }
    return true;
}
