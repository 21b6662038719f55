#define _GNU_SOURCE
#include "wire.h"

#include <endian.h>
#include <string.h>

static const uint8_t MAGIC[3] = {0x01, 0xfe, 0x13};
static const char ALPHABET[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Behind the mark: bytes that look like sound and hold no magic. */
static const uint8_t *frame_body(void) {
  static uint8_t body[FRAME_BYTES - MARK_BYTES];
  if (body[0] == 0)
    for (size_t i = 0; i < sizeof body; i++) body[i] = (uint8_t)(0x20 + i * 37 % 0xc0);
  return body;
}

void frame_write(uint8_t frame[FRAME_BYTES], const struct mark *mark) {
  uint8_t *at = frame;
  uint32_t sequence = htobe32(mark->sequence);
  uint64_t time = htobe64((uint64_t)mark->time_ns);
  memcpy(at, MAGIC, sizeof MAGIC);
  at[3] = (uint8_t)(0x40 + mark->way);
  at[4] = (uint8_t)(mark->call >> 8);
  at[5] = (uint8_t)mark->call;
  memcpy(at + 6, &sequence, sizeof sequence);
  memcpy(at + 10, &time, sizeof time);
  memset(at + 18, 0x55, 3);
  memcpy(at + MARK_BYTES, frame_body(), FRAME_BYTES - MARK_BYTES);
}

long mark_find(const uint8_t *data, size_t size, struct mark *mark) {
  if (size < MARK_BYTES) return -1;
  const uint8_t *at = memmem(data, size - MARK_BYTES + sizeof MAGIC, MAGIC, sizeof MAGIC);
  if (at == NULL) return -1;
  uint32_t sequence;
  uint64_t time;
  memcpy(&sequence, at + 6, sizeof sequence);
  memcpy(&time, at + 10, sizeof time);
  *mark = (struct mark){
      .way = at[3] - 0x40,
      .call = (uint16_t)(at[4] << 8 | at[5]),
      .sequence = be32toh(sequence),
      .time_ns = (int64_t)be64toh(time),
  };
  return at - data;
}

bool frame_is_whole(const uint8_t frame[FRAME_BYTES]) {
  return memcmp(frame + MARK_BYTES, frame_body(), FRAME_BYTES - MARK_BYTES) == 0;
}

bool frame_text_is_whole(const char text[FRAME_CHARS]) {
  static char body[FRAME_CHARS];
  if (body[0] == 0) base64_encode(body, frame_body(), FRAME_BYTES - MARK_BYTES);
  return memcmp(text + MARK_CHARS, body, FRAME_CHARS - MARK_CHARS) == 0;
}

size_t base64_encode(char *out, const uint8_t *in, size_t size) {
  char *at = out;
  for (; size >= 3; size -= 3, in += 3) {
    uint32_t bits = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];
    *at++ = ALPHABET[bits >> 18];
    *at++ = ALPHABET[bits >> 12 & 63];
    *at++ = ALPHABET[bits >> 6 & 63];
    *at++ = ALPHABET[bits & 63];
  }
  if (size > 0) {
    uint32_t bits = (uint32_t)in[0] << 16 | (size == 2 ? (uint32_t)in[1] << 8 : 0);
    *at++ = ALPHABET[bits >> 18];
    *at++ = ALPHABET[bits >> 12 & 63];
    *at++ = size == 2 ? ALPHABET[bits >> 6 & 63] : '=';
    *at++ = '=';
  }
  return (size_t)(at - out);
}

size_t base64_decode(uint8_t *out, const char *in, size_t size) {
  static uint8_t values[256];
  if (values['B'] == 0)
    for (uint8_t i = 0; i < 64; i++) values[(uint8_t)ALPHABET[i]] = i;
  while (size > 0 && in[size - 1] == '=') size--;
  uint8_t *at = out;
  const uint8_t *from = (const uint8_t *)in;
  for (; size >= 4; size -= 4, from += 4) {
    uint32_t bits = (uint32_t)values[from[0]] << 18 | (uint32_t)values[from[1]] << 12 |
                    (uint32_t)values[from[2]] << 6 | values[from[3]];
    *at++ = (uint8_t)(bits >> 16);
    *at++ = (uint8_t)(bits >> 8);
    *at++ = (uint8_t)bits;
  }
  if (size >= 2) *at++ = (uint8_t)(values[from[0]] << 2 | values[from[1]] >> 4);
  if (size == 3) *at++ = (uint8_t)(values[from[1]] << 4 | values[from[2]] >> 2);
  return (size_t)(at - out);
}

static uint32_t rotate(uint32_t value, int bits) { return value << bits | value >> (32 - bits); }

/* One block of SHA-1 (RFC 3174 section 6.1). */
static void sha1_block(uint32_t state[5], const uint8_t block[64]) {
  uint32_t w[80];
  for (int i = 0; i < 16; i++) {
    memcpy(&w[i], block + 4 * i, 4);
    w[i] = be32toh(w[i]);
  }
  for (int i = 16; i < 80; i++) w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
  uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
  for (int i = 0; i < 80; i++) {
    uint32_t f = i < 20   ? ((b & c) | (~b & d)) + 0x5a827999
                 : i < 40 ? (b ^ c ^ d) + 0x6ed9eba1
                 : i < 60 ? ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc
                          : (b ^ c ^ d) + 0xca62c1d6;
    uint32_t next = rotate(a, 5) + f + e + w[i];
    e = d, d = c, c = rotate(b, 30), b = a, a = next;
  }
  state[0] += a, state[1] += b, state[2] += c, state[3] += d, state[4] += e;
}

void ws_accept(char out[ACCEPT_CHARS + 1], const char *key, size_t size) {
  static const char GUID[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  /* A key has 24 characters: with the GUID, 60 bytes and the length make two blocks. */
  uint8_t blocks[128] = {0};
  if (size > 24) size = 24;
  memcpy(blocks, key, size);
  memcpy(blocks + size, GUID, sizeof GUID - 1);
  size += sizeof GUID - 1;
  blocks[size] = 0x80;
  uint64_t bits = htobe64(size * 8);
  memcpy(blocks + sizeof blocks - 8, &bits, 8);
  uint32_t state[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
  sha1_block(state, blocks);
  sha1_block(state, blocks + 64);
  for (int i = 0; i < 5; i++) state[i] = htobe32(state[i]);
  base64_encode(out, (const uint8_t *)state, sizeof state);
  out[ACCEPT_CHARS] = 0;
}

size_t ws_header(uint8_t *out, enum ws_opcode opcode, size_t payload, const uint8_t *mask) {
  size_t size = 2;
  out[0] = (uint8_t)(0x80 | opcode);
  if (payload < 126) {
    out[1] = (uint8_t)payload;
  } else if (payload < 65536) {
    out[1] = 126, out[2] = (uint8_t)(payload >> 8), out[3] = (uint8_t)payload;
    size = 4;
  } else {
    uint64_t length = htobe64(payload);
    out[1] = 127;
    memcpy(out + 2, &length, 8);
    size = 10;
  }
  if (mask == NULL) return size;
  out[1] |= 0x80;
  memcpy(out + size, mask, 4);
  return size + 4;
}

void ws_mask(uint8_t *data, size_t size, const uint8_t mask[4]) {
  uint64_t wide, word;
  memcpy(&wide, mask, 4);
  memcpy((uint8_t *)&wide + 4, mask, 4);
  size_t i = 0;
  for (; i + 8 <= size; i += 8) {
    memcpy(&word, data + i, 8);
    word ^= wide;
    memcpy(data + i, &word, 8);
  }
  for (; i < size; i++) data[i] ^= mask[i & 3];
}

size_t ws_read(uint8_t *data, size_t size, struct ws_frame *frame) {
  if (size < 2) return 0;
  size_t header = 2, length = data[1] & 0x7f;
  if (length == 126) {
    if (size < 4) return 0;
    length = (size_t)data[2] << 8 | data[3];
    header = 4;
  } else if (length == 127) {
    uint64_t wide;
    if (size < 10) return 0;
    memcpy(&wide, data + 2, 8);
    length = be64toh(wide);
    header = 10;
  }
  const uint8_t *mask = data[1] & 0x80 ? data + header : NULL;
  if (mask != NULL) header += 4;
  if (size < header || size - header < length) return 0;
  *frame = (struct ws_frame){.opcode = data[0] & 0x0f, .payload = data + header, .size = length};
  if (mask != NULL) ws_mask(frame->payload, length, mask);
  return header + length;
}

const char *media_payload(const char *message, size_t size, size_t *chars) {
  static const char KEY[] = "\"payload\":\"";
  const char *key = memmem(message, size, KEY, sizeof KEY - 1);
  if (key == NULL) return NULL;
  const char *text = key + sizeof KEY - 1;
  const char *end = memchr(text, '"', size - (size_t)(text - message));
  if (end == NULL) return NULL;
  *chars = (size_t)(end - text);
  return text;
}
