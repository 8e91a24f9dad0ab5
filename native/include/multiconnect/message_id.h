/*
 * Message ids: 24 characters that lead to one record. src/multiconnect/model/message_id.py tells
 * the layout and reads them.
 */
#ifndef MULTICONNECT_MESSAGE_ID_H
#define MULTICONNECT_MESSAGE_ID_H

#include <stdint.h>

enum { MC_MESSAGE_ID_CHARS = 24 };

/* Write the id of a message to MC_MESSAGE_ID_CHARS bytes; `place` is the slot with the stream in
   its top bit. */
void mc_message_id_write(uint8_t *out, uint32_t cluster, uint8_t place, uint64_t sequence);

#endif
