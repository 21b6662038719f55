/* Tests of what is pure in the load generator: run while its image is built. */
#define _GNU_SOURCE
#include "figures.h"
#include "net.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define check(condition) \
  if (!(condition)) fprintf(stderr, "test.c:%d: not so: %s\n", __LINE__, #condition), exit(1)

static const int64_t START_NS = 5000000000, MS = 1000000;

static void test_base64(void) {
  char text[16] = {0};
  uint8_t bytes[16];
  check(base64_encode(text, (const uint8_t *)"foobar", 6) == 8 && strcmp(text, "Zm9vYmFy") == 0);
  check(base64_encode(text, (const uint8_t *)"fo", 2) == 4 && memcmp(text, "Zm8=", 4) == 0);
  check(base64_decode(bytes, "Zm8=", 4) == 2 && memcmp(bytes, "fo", 2) == 0);
}

static void test_websocket(void) {
  char accept[ACCEPT_CHARS + 1];
  ws_accept(accept, "dGhlIHNhbXBsZSBub25jZQ==", 24); /* RFC 6455 section 1.3 */
  check(strcmp(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") == 0);
  uint8_t data[400];
  const uint8_t mask[4] = {1, 2, 3, 4};
  size_t head = ws_header(data, WS_TEXT, 300, mask);
  memset(data + head, 'x', 300);
  ws_mask(data + head, 300, mask);
  struct ws_frame frame;
  check(ws_read(data, head + 299, &frame) == 0);
  check(ws_read(data, head + 300, &frame) == head + 300);
  check(frame.opcode == WS_TEXT && frame.size == 300 && frame.payload[299] == 'x');
}

static void test_marks(void) {
  uint8_t data[2 * FRAME_BYTES] = {0};
  const struct mark mark = {.way = DOWN, .call = 300, .sequence = 70000, .time_ns = START_NS};
  struct mark found;
  frame_write(data + 100, &mark);
  check(mark_find(data, sizeof data, &found) == 100 && found.way == DOWN && found.call == 300);
  check(found.sequence == 70000 && found.time_ns == START_NS && frame_is_whole(data + 100));
  data[200] ^= 1;
  check(!frame_is_whole(data + 100));
  check(mark_find(data + 101, FRAME_BYTES, &found) == -1);
}

/* Frame n is sent n * 20 ms after the start, and arrives `delay_ms` later. */
static void arrive(struct stream *stream, const struct window *window, uint32_t sequence, int64_t delay_ms) {
  struct mark mark = {.way = UP, .sequence = sequence, .time_ns = START_NS + sequence * (int64_t)FRAME_NS};
  judge_mark(stream, window, &mark, mark.time_ns + delay_ms * MS);
}

static void test_judge(void) {
  static struct second seconds[2], sum;
  const struct window window = {.from_ns = START_NS, .seconds = 2, .second = seconds};
  struct stream stream = {0};
  for (uint32_t n = 0; n < 100; n++) {
    if (n == 10) continue;                                      /* lost */
    if (n != 20) arrive(&stream, &window, n, n == 60 ? 50 : 1); /* 60 keeps its listener waiting */
    if (n == 21) arrive(&stream, &window, 20, 22);              /* 20 and 21 change places */
    if (n == 30) arrive(&stream, &window, n, 2);                /* twice */
  }
  check(seconds[0].figures[UP].arrived == 49 && seconds[1].figures[UP].arrived == 50);
  check(seconds[0].figures[UP].reordered == 1 && seconds[0].figures[UP].duplicates == 1);
  check(seconds[0].figures[UP].gaps == 0 && seconds[1].figures[UP].gaps == 1);
  for (int i = 0; i < 200; i++) histogram_add(&seconds[i % 2].lateness, i % 2 * 3 * MS);
  check(second_is_sound(&seconds[0]) && !second_is_sound(&seconds[1]));
  check(second_at(&window, START_NS - 1) == NULL && second_at(&window, START_NS + 2 * (int64_t)SECOND_NS) == NULL);
  second_add(&sum, &seconds[0]);
  second_add(&sum, &seconds[1]);
  check(sum.figures[UP].arrived == 99 && sum.figures[UP].latency.max == 50 * MS && sum.lateness.count == 200);
}

static void test_phones(void) {
  const struct sockaddr_in first = loopback("127.0.1.1", 21100);
  struct sockaddr_in phone = phone_at(first, 16, 15);
  check(phone.sin_addr.s_addr == inet_addr("127.0.1.16") && ntohs(phone.sin_port) == 21100);
  phone = phone_at(first, 16, 16);
  check(phone.sin_addr.s_addr == inet_addr("127.0.1.1") && ntohs(phone.sin_port) == 21102);
  phone = phone_at(first, 1, 3);
  check(phone.sin_addr.s_addr == inet_addr("127.0.1.1") && ntohs(phone.sin_port) == 21106);
}

int main(void) {
  test_base64();
  test_websocket();
  test_marks();
  test_judge();
  test_phones();
}
