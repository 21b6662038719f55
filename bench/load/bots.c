/* The bots: a WebSocket server that judges the media it gets, and echoes it or speaks. */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { INPUT_BYTES = 16384, OUTPUT_MAX = 1 << 20 };

struct connection {
  int socket;
  uint32_t index;
  bool open;
  int call; /* -1: not known yet */
  size_t used;
  uint8_t input[INPUT_BYTES];
  char *waiting; /* what the socket did not take */
  size_t waits;
};

static int listener;
static struct connection *connections[2 * CALLS_MAX];

static const char MEDIA_HEAD[] = "{\"event\":\"media\",\"payload\":\"";
static const char MEDIA_TAIL[] = "\"}";

void bots_open(void) {
  listener = tcp_listen("127.0.0.1", load.bot_port);
  epoll_watch(load.epoll, listener, EPOLLIN, tag(LISTENER, 0));
  for (int i = 0; i < load.calls; i++) load.speech_due[i] = load.clear_due[i] = NEVER;
}

void bots_accept(void) {
  for (;;) {
    int socket = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (socket < 0) return;
    uint32_t index = 0;
    while (index < 2 * CALLS_MAX && connections[index] != NULL) index++;
    if (index == 2 * CALLS_MAX) die("too many connections");
    struct connection *connection = calloc(1, sizeof *connection);
    if (connection == NULL) die("memory");
    *connection = (struct connection){.socket = socket, .index = index, .call = -1};
    connections[index] = connection;
    tcp_prepare(socket, true);
    epoll_watch(load.epoll, socket, EPOLLIN, tag(BOT, index));
  }
}

static void bot_close(struct connection *connection) {
  if (connection->call >= 0 && load.call[connection->call].bot == connection) {
    load.call[connection->call].bot = NULL;
    load.speech_due[connection->call] = NEVER;
  }
  close(connection->socket);
  connections[connection->index] = NULL;
  free(connection->waiting);
  free(connection);
}

/*
 * Sends, or keeps what the socket does not take. Beyond a limit the bridge has stopped reading, and
 * the message counts as lost.
 */
static void bot_send(struct connection *connection, const char *data, size_t size) {
  ssize_t sent = connection->waits > 0 ? 0 : send(connection->socket, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent < 0) sent = 0;
  if ((size_t)sent == size || connection->waits + size - (size_t)sent > OUTPUT_MAX) return;
  size_t left = size - (size_t)sent;
  connection->waiting = realloc(connection->waiting, connection->waits + left);
  if (connection->waiting == NULL) die("memory");
  memcpy(connection->waiting + connection->waits, data + sent, left);
  connection->waits += left;
  epoll_change(load.epoll, connection->socket, EPOLLIN | EPOLLOUT, tag(BOT, connection->index));
}

static void bot_flush(struct connection *connection) {
  ssize_t sent = send(connection->socket, connection->waiting, connection->waits, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent <= 0) return;
  connection->waits -= (size_t)sent;
  memmove(connection->waiting, connection->waiting + sent, connection->waits);
  if (connection->waits == 0) epoll_change(load.epoll, connection->socket, EPOLLIN, tag(BOT, connection->index));
}

static void bot_send_media(struct call *call, const uint8_t *audio, size_t size) {
  static char message[WS_HEADER_MAX + sizeof MEDIA_HEAD + sizeof MEDIA_TAIL + (FRAME_BYTES * 512 / 3 + 1) * 4];
  size_t chars = (size + 2) / 3 * 4;
  char *at = message + ws_header((uint8_t *)message, WS_TEXT, sizeof MEDIA_HEAD - 1 + chars + sizeof MEDIA_TAIL - 1, NULL);
  at = mempcpy(at, MEDIA_HEAD, sizeof MEDIA_HEAD - 1);
  at += base64_encode(at, audio, size);
  at = mempcpy(at, MEDIA_TAIL, sizeof MEDIA_TAIL - 1);
  bot_send(call->bot, message, (size_t)(at - message));
}

static void frame_speak(struct call *call, uint8_t frame[FRAME_BYTES], int64_t time) {
  struct mark mark = {.way = DOWN, .call = (uint16_t)(call - load.call), .sequence = call->spoken++, .time_ns = time};
  frame_write(frame, &mark);
  struct second *second = second_at(&load.window, time);
  if (second != NULL) second->figures[DOWN].sent++;
}

/* The first media of a call: from now on its bot speaks, not all at the same moment. */
static void bot_begin(struct call *call, int index) {
  call->speaking = true;
  if (load.speech->message_bytes == 0) return;
  load.speech_due[index] = now_ns() + index % 25 * 100000000LL + FRAME_NS * (int64_t)index / load.calls;
}

static void bot_hear(struct connection *connection, const char *text, size_t chars, int64_t arrived) {
  uint8_t audio[INPUT_BYTES];
  struct mark mark;
  struct second *second = second_at(&load.window, arrived);
  size_t size = base64_decode(audio, text, chars == FRAME_CHARS ? MARK_CHARS : chars);
  if (mark_find(audio, size, &mark) < 0 || mark.way != UP || mark.call >= load.calls) {
    if (second != NULL) second->figures[UP].silent++;
    return;
  }
  struct call *call = &load.call[mark.call];
  call->bot = connection;
  connection->call = mark.call;
  judge_mark(&call->streams[UP], &load.window, &mark, arrived);
  bool whole = chars == FRAME_CHARS && frame_text_is_whole(text);
  if (!whole && second != NULL) second->figures[UP].corrupt++;
  if (!call->speaking) bot_begin(call, mark.call);
  if (load.speech->message_bytes > 0 || load.speech_due[mark.call] == 0) return;
  uint8_t frame[FRAME_BYTES];
  frame_speak(call, frame, now_ns());
  bot_send_media(call, frame, FRAME_BYTES);
}

/* Audio of the bot's own. Its marks say when a player without any delay would play each frame. */
static void bot_say(struct call *call, size_t size) {
  static uint8_t audio[FRAME_BYTES * 512];
  for (size_t at = 0; at < size;) {
    if (call->frame_left == 0) {
      frame_speak(call, call->frame, call->spurt_ns + FRAME_NS * (int64_t)call->spurt_frames++);
      call->frame_left = FRAME_BYTES;
    }
    size_t part = size - at < call->frame_left ? size - at : call->frame_left;
    memcpy(audio + at, call->frame + FRAME_BYTES - call->frame_left, part);
    call->frame_left -= part;
    at += part;
  }
  bot_send_media(call, audio, size);
}

/* Ends the judgement of the clear before. */
static void clear_judge(struct call *call) {
  struct second *second = second_at(&load.window, call->clear_ns);
  if (second != NULL) histogram_add(&second->clear, call->cleared_ns > 0 ? call->cleared_ns - call->clear_ns : 0);
  call->clear_ns = call->cleared_ns = 0;
}

static void bot_clear(struct call *call) {
  static const char CLEAR[] = "{\"event\":\"clear\"}";
  char message[WS_HEADER_MAX + sizeof CLEAR];
  size_t head = ws_header((uint8_t *)message, WS_TEXT, sizeof CLEAR - 1, NULL);
  memcpy(message + head, CLEAR, sizeof CLEAR - 1);
  bot_send(call->bot, message, head + sizeof CLEAR - 1);
  call->clear_ns = now_ns();
  call->clear_sequence = call->spoken;
}

void bot_was_heard(struct call *call, uint32_t sequence, int64_t arrived) {
  if (call->clear_ns > 0 && arrived > call->clear_ns && sequence < call->clear_sequence) call->cleared_ns = arrived;
}

/* The next part of what the bot of a call has to say. */
static void bot_speak(struct call *call, int64_t *due) {
  const struct speech *speech = load.speech;
  if (call->spurt_left == 0) {
    if (call->clear_ns > 0) clear_judge(call);
    call->spurt_ns = *due;
    call->spurt_frames = 0;
    call->spurt_left = speech->spurt_bytes > 0 ? speech->spurt_bytes : SIZE_MAX;
    if (speech->clear_after_ns > 0) load.clear_due[call - load.call] = *due + speech->clear_after_ns;
  }
  size_t size = call->spurt_left < speech->message_bytes ? call->spurt_left : speech->message_bytes;
  bot_say(call, size);
  if (call->spurt_left != SIZE_MAX) call->spurt_left -= size;
  *due = call->spurt_left > 0 ? *due + speech->every_ns : call->spurt_ns + speech->spurt_every_ns;
}

void bots_speak(int64_t now) {
  if (load.speech->message_bytes == 0) return;
  for (int i = 0; i < load.calls; i++) {
    if (load.speech_due[i] <= now) bot_speak(&load.call[i], &load.speech_due[i]);
    if (load.clear_due[i] > now) continue;
    load.clear_due[i] = NEVER;
    if (load.call[i].bot != NULL) bot_clear(&load.call[i]);
  }
}

void bots_hush(void) {
  /* 0 marks an echo that is hushed. */
  for (int i = 0; i < load.calls; i++) load.speech_due[i] = load.speech->message_bytes > 0 ? NEVER : 0;
}

/* Answers the opening handshake once it is complete; false while it is not. */
static bool bot_handshake(struct connection *connection) {
  static const char KEY[] = "Sec-WebSocket-Key: ";
  char *request = (char *)connection->input;
  char *end = memmem(request, connection->used, "\r\n\r\n", 4);
  if (end == NULL) return false;
  *end = 0;
  char *key = strcasestr(request, KEY);
  if (key == NULL) die("a request that is no WebSocket");
  char accept[ACCEPT_CHARS + 1], reply[256];
  key += sizeof KEY - 1;
  ws_accept(accept, key, strcspn(key, "\r"));
  int size = snprintf(reply, sizeof reply,
                      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                      "Sec-WebSocket-Accept: %s\r\n\r\n",
                      accept);
  bot_send(connection, reply, (size_t)size);
  connection->open = true;
  connection->used -= (size_t)(end + 4 - request);
  memmove(request, end + 4, connection->used);
  return true;
}

/* One frame; false where the connection is over. */
static bool bot_frame(struct connection *connection, const struct ws_frame *frame, int64_t arrived) {
  uint8_t head[WS_HEADER_MAX];
  size_t chars;
  const char *text;
  switch (frame->opcode) {
    case WS_TEXT:
      text = media_payload((char *)frame->payload, frame->size, &chars);
      if (text != NULL) bot_hear(connection, text, chars, arrived);
      return true;
    case WS_PING:
    case WS_CLOSE:
      bot_send(connection, (char *)head, ws_header(head, frame->opcode == WS_PING ? WS_PONG : WS_CLOSE, frame->size, NULL));
      bot_send(connection, (char *)frame->payload, frame->size);
      return frame->opcode == WS_PING;
    default:
      return true;
  }
}

/* Reads what there is; false where the connection is over. */
static bool bot_read(struct connection *connection) {
  uint8_t control[CONTROL_BYTES];
  struct iovec part = {.iov_base = connection->input + connection->used, .iov_len = INPUT_BYTES - connection->used};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  ssize_t size = recvmsg(connection->socket, &message, MSG_DONTWAIT);
  if (size <= 0) return size < 0 && errno == EAGAIN;
  int64_t arrived = arrival_ns(&message, now_ns());
  connection->used += (size_t)size;
  if (!connection->open && !bot_handshake(connection)) return connection->used < INPUT_BYTES;
  size_t at = 0, used;
  struct ws_frame frame;
  while ((used = ws_read(connection->input + at, connection->used - at, &frame)) > 0) {
    if (!bot_frame(connection, &frame, arrived)) return false;
    at += used;
  }
  connection->used -= at;
  if (connection->used == INPUT_BYTES) die("a message from the bridge is too long");
  memmove(connection->input, connection->input + at, connection->used);
  return true;
}

void bot_event(uint32_t index, uint32_t events) {
  struct connection *connection = connections[index];
  if (connection == NULL) return;
  if (events & EPOLLOUT) bot_flush(connection);
  if (events & (EPOLLIN | EPOLLHUP | EPOLLERR) && !bot_read(connection)) bot_close(connection);
}
