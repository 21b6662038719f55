/*
 * The load generator: sends and receives the RTP of every call and plays the bot of its WebSocket,
 * in one thread.
 */
#pragma once
#include "figures.h"
#include "net.h"

enum { CALLS_MAX = 2000 };
/* Nothing is due. */
#define NEVER INT64_MAX

/* How the bot speaks: each payload back at once (no message_bytes), or marked audio of its own. */
struct speech {
  const char *name;
  size_t message_bytes;
  int64_t every_ns;
  size_t spurt_bytes; /* 0: without end */
  int64_t spurt_every_ns;
  int64_t clear_after_ns; /* from the beginning of a spurt to the bot's `clear`; 0: none */
};

struct call {
  struct stream streams[WAYS];
  /* The phone. */
  union source source; /* its address */
  struct sockaddr_in peer; /* port 0: not known yet */
  uint16_t rtp_sequence;
  uint32_t rtp_timestamp, ssrc, sequence;
  uint8_t carry[MARK_BYTES - 1]; /* end of the packet before: a mark may lie across two */
  size_t carried;
  /* The bot. */
  struct connection *bot;
  bool speaking;
  uint32_t spoken; /* frames */
  uint8_t frame[FRAME_BYTES];
  size_t frame_left; /* bytes of `frame` not sent yet */
  size_t spurt_left;
  int64_t spurt_ns; /* when this spurt began */
  uint32_t spurt_frames;
  int64_t clear_ns;        /* when the last `clear` was sent; 0: judged */
  uint32_t clear_sequence; /* frames before it are cleared */
  int64_t cleared_ns;      /* when one of them was heard last, if after it */
};

struct load {
  int calls, calls_per_socket;
  const char *phone_address; /* of a socket's first call */
  int phone_port, bot_port;
  const struct speech *speech;
  int epoll;
  struct call *call;
  /* By call; apart from it since they are looked through often. */
  int64_t rtp_due[CALLS_MAX], speech_due[CALLS_MAX], clear_due[CALLS_MAX];
  struct window window;
};
extern struct load load;

/* Tags of epoll: what kind of socket, and which. */
enum kind { COMMANDS, LISTENER, PHONES, BOT };
static inline uint64_t tag(enum kind kind, uint32_t index) { return (uint64_t)kind << 32 | index; }

/* phones.c */
void phones_open(void);
void phone_peer(int call, int port);
void phone_start(int call);
void phone_stop(int call);
/* Sends what is due. */
void phones_send(int64_t now);
void phones_receive(uint32_t socket);

/* bots.c */
void bots_open(void);
void bots_accept(void);
void bot_event(uint32_t connection, uint32_t events);
void bots_speak(int64_t now);
/* No new audio from now on. */
void bots_hush(void);
/* A call's marked frame was heard at the phone: one that was cleared before? */
void bot_was_heard(struct call *call, uint32_t sequence, int64_t arrived);
