/*
 * Formats of the wire: marked audio frames, base64, WebSocket framing (RFC 6455). Pure: no sockets,
 * no clock.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One frame of G.711: 20 ms at 8 kHz. */
enum { FRAME_BYTES = 160, FRAME_NS = 20000000, SECOND_NS = 1000000000 };
/* The mark at the head of a frame. 21 bytes are 28 characters of base64 with nothing left over. */
enum { MARK_BYTES = 21, MARK_CHARS = 28, FRAME_CHARS = 216 };

/* Which way a frame goes. */
enum way { UP, DOWN, WAYS };

struct mark {
  uint8_t way;
  uint16_t call;
  uint32_t sequence;
  int64_t time_ns; /* when it was sent, or due to be heard: realtime clock */
};

/* Writes a marked frame; all of it behind the mark is the same in every frame. */
void frame_write(uint8_t frame[FRAME_BYTES], const struct mark *mark);
/* Finds the first mark in `data`; returns its offset, or -1. `*mark` is set. */
long mark_find(const uint8_t *data, size_t size, struct mark *mark);
/* Whether what follows the mark in a frame is as it was written; the same for a frame in base64. */
bool frame_is_whole(const uint8_t frame[FRAME_BYTES]);
bool frame_text_is_whole(const char text[FRAME_CHARS]);

/*
 * Base64 (RFC 4648 section 4). Return the characters or bytes written. Decoding skips and checks
 * nothing.
 */
size_t base64_encode(char *out, const uint8_t *in, size_t size);
size_t base64_decode(uint8_t *out, const char *in, size_t size);

/* The value of Sec-WebSocket-Accept for a key, with a final NUL. */
enum { ACCEPT_CHARS = 28 };
void ws_accept(char out[ACCEPT_CHARS + 1], const char *key, size_t size);

enum ws_opcode { WS_TEXT = 1, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 };
enum { WS_HEADER_MAX = 14 };

/*
 * Writes the header of a final frame; with `mask` (four bytes) the payload must be masked by
 * ws_mask. Returns its size.
 */
size_t ws_header(uint8_t *out, enum ws_opcode opcode, size_t payload, const uint8_t *mask);
/* Masks or unmasks in place. */
void ws_mask(uint8_t *data, size_t size, const uint8_t mask[4]);

struct ws_frame {
  int opcode;
  uint8_t *payload; /* unmasked */
  size_t size;
};

/* Reads one frame, unmasking in place: bytes used, 0 where more are needed. */
size_t ws_read(uint8_t *data, size_t size, struct ws_frame *frame);

/*
 * The base64 text of a media message: finds "payload":"…" and sets `*chars`; NULL where there is
 * none.
 */
const char *media_payload(const char *message, size_t size, size_t *chars);
