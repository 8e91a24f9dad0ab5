#include "multiconnect/codes.h"
#include "multiconnect/hash.h"

/* The ASCII characters that str.strip() trims. */
static bool is_space(uint8_t byte) {
    return byte == ' ' || (byte >= 0x09 && byte <= 0x0D) || (byte >= 0x1C && byte <= 0x1F);
}

static bool is_digit(uint8_t byte) { return byte >= '0' && byte <= '9'; }

static bool is_phone_punctuation(uint8_t byte) {
    return byte == ' ' || byte == '.' || byte == '-' || byte == '(' || byte == ')';
}

/* Digits of a phone number written for people, or -1 if the text is something else. */
static int phone_digits(const uint8_t *text, size_t size, uint8_t *out) {
    int digits = 0;
    for (size_t i = 0; i < size; i++) {
        if (is_digit(text[i])) {
            if (digits < MC_RECIPIENT_BYTES_MAX)
                out[digits] = text[i];
            digits++;
        } else if (!is_phone_punctuation(text[i]) && !(text[i] == '+' && i == 0)) {
            return -1;
        }
    }
    return digits > 0 ? digits : -1;
}

int mc_canonical(const uint8_t *text, size_t size, uint8_t *out) {
    while (size > 0 && is_space(text[0])) {
        text++;
        size--;
    }
    while (size > 0 && is_space(text[size - 1]))
        size--;
    if (size == 0)
        return MC_E_EMPTY;
    const int digits = phone_digits(text, size, out);
    if (digits >= 0)
        return digits <= MC_RECIPIENT_BYTES_MAX ? digits : MC_E_TOO_LONG;
    for (size_t i = 0; i < size; i++)
        if (text[i] < 0x20)
            return MC_E_CONTROL;
    if (size > MC_RECIPIENT_BYTES_MAX)
        return MC_E_TOO_LONG;
    memcpy(out, text, size);
    return (int)size;
}
