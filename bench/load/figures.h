/* What is measured: histograms, and a judge for each way of each call. Pure. */
#pragma once
#include "wire.h"

#include <stdio.h>

/* Times in ns, kept to 3 %. */
enum { BUCKETS_PER_OCTAVE = 32, OCTAVES = 48 };
struct histogram {
  uint64_t count;
  int64_t max;
  uint32_t buckets[OCTAVES * BUCKETS_PER_OCTAVE];
};

void histogram_add(struct histogram *histogram, int64_t ns);
/* Writes {"n":…,"p50":…,"p99":…,"p999":…,"max":…}, in ms. */
void histogram_print(FILE *out, const struct histogram *histogram);

/* One way of one call. */
struct stream {
  uint32_t highest;      /* sequence number */
  uint64_t seen;         /* bit n: highest - n has arrived */
  int64_t arrived_ns;    /* the mark of `highest` */
  int64_t time_ns;       /* what that mark says */
  int64_t first_ns;      /* first mark of all; 0: none */
  uint16_t rtp_sequence; /* DOWN only: of the packet before */
  uint32_t rtp_timestamp;
  int64_t rtp_arrived_ns; /* 0: none yet */
  int64_t rtp_origin_ns;  /* when timestamp 0 would have arrived, by the fastest packet */
};

/* One way, all calls. */
struct figures {
  struct histogram latency;   /* from the time in the mark to the arrival */
  struct histogram pacing;    /* |spacing of packets - 20 ms|, by RTP timestamps */
  struct histogram variation; /* lateness against the fastest packet, by RTP timestamps */
  uint64_t sent, arrived, duplicates, reordered, corrupt;
  uint64_t gaps; /* pauses over 40 ms that the sender did not make */
  uint64_t rtp_lost, rtp_jumps, silent;
};

struct second {
  struct figures figures[WAYS];
  struct histogram lateness; /* of the send clock */
  struct histogram clear;    /* from a bot's `clear` to the last audio from before it */
};

/*
 * The window, by seconds: what was sent, or is due, in a second counts in that second. So a second
 * in which the generator was late can be left out.
 */
struct window {
  int64_t from_ns;
  size_t seconds;
  struct second *second;
};

/* The second that a moment belongs to; NULL outside the window. */
static inline struct second *second_at(const struct window *window, int64_t ns) {
  if (ns < window->from_ns) return NULL;
  size_t at = (size_t)((ns - window->from_ns) / SECOND_NS);
  return at < window->seconds ? &window->second[at] : NULL;
}

/* Whether the send clock was punctual enough in a second for its figures to mean anything. */
bool second_is_sound(const struct second *second);
/* Adds the figures of a second to `sum`. */
void second_add(struct second *sum, const struct second *second);

/* A mark arrived. */
void judge_mark(struct stream *stream, const struct window *window, const struct mark *mark, int64_t arrived_ns);
/* A packet arrived at the phone, marked or silent. */
void judge_packet(struct stream *stream, const struct window *window, const uint8_t *packet, int64_t arrived_ns);
void figures_print(FILE *out, const char *name, const struct figures *figures);
