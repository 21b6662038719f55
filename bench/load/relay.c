/*
 * relay --calls N [--first CALL] --bot-port P --phone-address A --phone-port P --calls-per-socket N
 *   --rtp-port P [--drop N] [--stall MS]
 * The limit that the bridge is compared with: the same messages, one UDP socket for each call, and
 * nothing else. It passes UDP to a WebSocket in JSON with base64, and back through a queue that
 * sends a packet every 20 ms. It has no call control, no reordering, no error handling and one
 * format. If several relays share the calls, each has N calls from CALL on. Prints `ready` when all
 * its calls are connected; runs until a signal ends it. To test the measurement it can be made
 * faulty: --drop loses every Nth frame in each direction; --stall stops all work for MS
 * milliseconds once a second.
 */
#define _GNU_SOURCE
#include "net.h"
#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CALLS_MAX = 2000, HEADER_BYTES = 12, QUEUE_BYTES = 1 << 17, INPUT_BYTES = 65536, PHASES = 4, EVENTS = 64 };
/* Audio collected before a pause ends. */
enum { PREBUFFER_BYTES = 3 * FRAME_BYTES };

struct call {
  int udp, tcp;
  uint16_t sequence;
  uint32_t timestamp;
  bool playing;
  size_t head, queued; /* a ring */
  uint8_t queue[QUEUE_BYTES];
  size_t used;
  uint8_t input[INPUT_BYTES];
};

static struct call *calls;
static int first, count = 1, calls_per_socket = 16, bot_port = 21080, phone_port = 21100, rtp_port = 40000;
static const char *phone_address = "127.0.1.1";
static int drop, stall_ms;

static void call_connect(struct call *call, int index) {
  struct sockaddr_in phone = phone_at(loopback(phone_address, phone_port), calls_per_socket, index);
  struct sockaddr_in bot = loopback("127.0.0.1", bot_port);
  char request[256], reply[512];
  call->udp = udp_open("127.0.0.1", rtp_port + 2 * index);
  if (connect(call->udp, (struct sockaddr *)&phone, sizeof phone) != 0) die("connect");
  call->tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (call->tcp < 0 || connect(call->tcp, (struct sockaddr *)&bot, sizeof bot) != 0) die("bot");
  int size = snprintf(request, sizeof request,
                      "GET /?call_id=bench-%d HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
                      index);
  if (send(call->tcp, request, (size_t)size, MSG_NOSIGNAL) != size) die("handshake");
  if (recv(call->tcp, reply, sizeof reply, 0) <= 0) die("handshake");
  tcp_prepare(call->tcp, false);
}

/* Whether this frame of those that `frames` counts is one to lose. */
static bool is_dropped(int *frames) { return drop > 0 && ++*frames % drop == 0; }

static void stall(int64_t now) {
  static int64_t last;
  if (stall_ms == 0 || now / 1000000000 == last) return;
  last = now / 1000000000;
  usleep((useconds_t)stall_ms * 1000);
}

/* A packet from the phone becomes a message to the bot. */
static void phone_to_bot(struct call *call) {
  static const char TAIL[] = "\",\"timestamp\":%u}";
  static const char HEAD[] = "{\"event\":\"media\",\"encoding\":\"pcmu\",\"sampleRate\":8000,\"payload\":\"";
  static int frames;
  uint8_t packet[512], message[1024];
  ssize_t size = recv(call->udp, packet, sizeof packet, MSG_DONTWAIT);
  if (size <= HEADER_BYTES || is_dropped(&frames)) return;
  uint32_t timestamp;
  memcpy(&timestamp, packet + 4, sizeof timestamp);
  char text[sizeof message - WS_HEADER_MAX];
  char *at = mempcpy(text, HEAD, sizeof HEAD - 1);
  at += base64_encode(at, packet + HEADER_BYTES, (size_t)size - HEADER_BYTES);
  at += sprintf(at, TAIL, ntohl(timestamp) / 8);
  const uint32_t random_mask = (uint32_t)random();
  uint8_t mask[4];
  memcpy(mask, &random_mask, sizeof mask);
  size_t head = ws_header(message, WS_TEXT, (size_t)(at - text), mask);
  memcpy(message + head, text, (size_t)(at - text));
  ws_mask(message + head, (size_t)(at - text), mask);
  send(call->tcp, message, head + (size_t)(at - text), MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void queue_write(struct call *call, const uint8_t *audio, size_t size) {
  if (size > QUEUE_BYTES - call->queued) size = QUEUE_BYTES - call->queued;
  for (size_t i = 0; i < size; i++) call->queue[(call->head + call->queued + i) % QUEUE_BYTES] = audio[i];
  call->queued += size;
}

/* What the bot says goes into the queue; false where it has closed the connection. */
static bool bot_to_queue(struct call *call) {
  static uint8_t audio[INPUT_BYTES];
  ssize_t size = recv(call->tcp, call->input + call->used, INPUT_BYTES - call->used, MSG_DONTWAIT);
  if (size <= 0) return size < 0 && errno == EAGAIN;
  call->used += (size_t)size;
  struct ws_frame frame;
  size_t at = 0, read;
  while ((read = ws_read(call->input + at, call->used - at, &frame)) > 0) {
    size_t chars;
    const char *text = media_payload((char *)frame.payload, frame.size, &chars);
    if (text != NULL) queue_write(call, audio, base64_decode(audio, text, chars));
    at += read;
  }
  call->used -= at;
  memmove(call->input, call->input + at, call->used);
  return true;
}

static void tick(struct call *call) {
  static int frames;
  uint8_t packet[HEADER_BYTES + FRAME_BYTES] = {0x80, 0};
  uint16_t sequence = htons(call->sequence++);
  uint32_t timestamp = htonl(call->timestamp);
  memcpy(packet + 2, &sequence, sizeof sequence);
  memcpy(packet + 4, &timestamp, sizeof timestamp);
  call->timestamp += FRAME_BYTES;
  if (call->queued >= PREBUFFER_BYTES) call->playing = true;
  if (call->queued < FRAME_BYTES) call->playing = false;
  if (call->playing) {
    for (size_t i = 0; i < FRAME_BYTES; i++) packet[HEADER_BYTES + i] = call->queue[(call->head + i) % QUEUE_BYTES];
    call->head = (call->head + FRAME_BYTES) % QUEUE_BYTES;
    call->queued -= FRAME_BYTES;
  } else {
    memset(packet + HEADER_BYTES, 0xff, FRAME_BYTES);
  }
  if (!is_dropped(&frames)) send(call->udp, packet, sizeof packet, MSG_DONTWAIT);
}

static void read_options(int words_count, char **words) {
  static const struct option OPTIONS[] = {
      {"calls", required_argument, NULL, 'c'},      {"bot-port", required_argument, NULL, 'b'},
      {"phone-port", required_argument, NULL, 'p'}, {"phone-address", required_argument, NULL, 'a'},
      {"rtp-port", required_argument, NULL, 'r'},   {"calls-per-socket", required_argument, NULL, 's'},
      {"first", required_argument, NULL, 'f'},      {"drop", required_argument, NULL, 'd'},
      {"stall", required_argument, NULL, 'w'},      {0},
  };
  for (int option; (option = getopt_long(words_count, words, "", OPTIONS, NULL)) != -1;) {
    switch (option) {
      case 'c': count = atoi(optarg); break;
      case 'f': first = atoi(optarg); break;
      case 'b': bot_port = atoi(optarg); break;
      case 'p': phone_port = atoi(optarg); break;
      case 'a': phone_address = optarg; break;
      case 's': calls_per_socket = atoi(optarg); break;
      case 'r': rtp_port = atoi(optarg); break;
      case 'd': drop = atoi(optarg); break;
      case 'w': stall_ms = atoi(optarg); break;
      default: die("unknown option");
    }
  }
  if (count < 1 || first < 0 || first + count > CALLS_MAX || calls_per_socket < 1) die("--calls is 1 to 2000");
}

int main(int words_count, char **words) {
  static struct epoll_event events[EVENTS];
  read_options(words_count, words);
  raise_file_limit();
  prctl(PR_SET_TIMERSLACK, 1);
  prctl(PR_SET_PDEATHSIG, 15);
  calls = calloc((size_t)count, sizeof *calls);
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  if (calls == NULL || epoll < 0) die("memory");
  for (int i = 0; i < count; i++) {
    call_connect(&calls[i], first + i);
    epoll_watch(epoll, calls[i].udp, EPOLLIN, (uint64_t)i << 1);
    epoll_watch(epoll, calls[i].tcp, EPOLLIN, (uint64_t)i << 1 | 1);
  }
  puts("ready");
  fflush(stdout);
  const int64_t slot = FRAME_NS / PHASES;
  int64_t next = now_ns() / slot + 1;
  for (;;) {
    stall(now_ns());
    for (; now_ns() >= next * slot; next++)
      for (int i = (int)(next % PHASES); i < count; i += PHASES) tick(&calls[i]);
    int64_t wait = next * slot - now_ns();
    struct timespec limit = {.tv_nsec = wait > 0 ? wait : 0};
    int ready = epoll_pwait2(epoll, events, EVENTS, &limit, NULL);
    for (int i = 0; i < ready; i++) {
      struct call *call = &calls[events[i].data.u64 >> 1];
      if ((events[i].data.u64 & 1) == 0) phone_to_bot(call);
      else if (!bot_to_queue(call)) return 0;
    }
  }
}
