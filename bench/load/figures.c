#include "figures.h"

#include <stdlib.h>

/* A pause longer than this is heard. */
static const int64_t GAP_NS = 2 * FRAME_NS;
static const uint32_t FRAME_SAMPLES = 160;
static const int64_t SAMPLE_NS = 125000;
/* Beyond these a second's figures say more about us than about what is measured. */
static const double LATENESS_P99_MS = 2, LATENESS_MAX_MS = 10;

static size_t bucket_of(uint64_t ns) {
  if (ns < BUCKETS_PER_OCTAVE) return ns;
  int shift = 58 - __builtin_clzll(ns); /* leaves six bits: 32 to 63 */
  return (size_t)shift * BUCKETS_PER_OCTAVE + (ns >> shift);
}

static double bucket_ms(size_t bucket) {
  if (bucket < BUCKETS_PER_OCTAVE) return (double)bucket / 1e6;
  size_t shift = bucket / BUCKETS_PER_OCTAVE - 1;
  uint64_t low = (uint64_t)(bucket % BUCKETS_PER_OCTAVE + BUCKETS_PER_OCTAVE) << shift;
  return ((double)low + (double)(1ull << shift) / 2) / 1e6;
}

void histogram_add(struct histogram *histogram, int64_t ns) {
  if (ns < 0) ns = 0;
  size_t bucket = bucket_of((uint64_t)ns);
  if (bucket >= OCTAVES * BUCKETS_PER_OCTAVE) bucket = OCTAVES * BUCKETS_PER_OCTAVE - 1;
  histogram->buckets[bucket]++;
  histogram->count++;
  if (ns > histogram->max) histogram->max = ns;
}

static double quantile_ms(const struct histogram *histogram, double share) {
  uint64_t rank = (uint64_t)(share * (double)(histogram->count - 1)), below = 0;
  for (size_t i = 0; i < OCTAVES * BUCKETS_PER_OCTAVE; i++) {
    below += histogram->buckets[i];
    if (below > rank) return bucket_ms(i);
  }
  return (double)histogram->max / 1e6;
}

void histogram_print(FILE *out, const struct histogram *histogram) {
  fprintf(out, "{\"n\":%lu", histogram->count);
  if (histogram->count > 0)
    fprintf(out, ",\"p50\":%.3f,\"p99\":%.3f,\"p999\":%.3f,\"max\":%.3f", quantile_ms(histogram, 0.5),
            quantile_ms(histogram, 0.99), quantile_ms(histogram, 0.999), (double)histogram->max / 1e6);
  fputc('}', out);
}

static void histogram_sum(struct histogram *sum, const struct histogram *other) {
  for (size_t i = 0; i < OCTAVES * BUCKETS_PER_OCTAVE; i++) sum->buckets[i] += other->buckets[i];
  sum->count += other->count;
  if (other->max > sum->max) sum->max = other->max;
}

bool second_is_sound(const struct second *second) {
  const struct histogram *lateness = &second->lateness;
  return lateness->count == 0 || (quantile_ms(lateness, 0.99) <= LATENESS_P99_MS && (double)lateness->max / 1e6 <= LATENESS_MAX_MS);
}

static void figures_add(struct figures *sum, const struct figures *figures) {
  histogram_sum(&sum->latency, &figures->latency);
  histogram_sum(&sum->pacing, &figures->pacing);
  histogram_sum(&sum->variation, &figures->variation);
  sum->sent += figures->sent;
  sum->arrived += figures->arrived;
  sum->duplicates += figures->duplicates;
  sum->reordered += figures->reordered;
  sum->corrupt += figures->corrupt;
  sum->gaps += figures->gaps;
  sum->rtp_lost += figures->rtp_lost;
  sum->rtp_jumps += figures->rtp_jumps;
  sum->silent += figures->silent;
}

void second_add(struct second *sum, const struct second *second) {
  for (int way = 0; way < WAYS; way++) figures_add(&sum->figures[way], &second->figures[way]);
  histogram_sum(&sum->lateness, &second->lateness);
  histogram_sum(&sum->clear, &second->clear);
}

enum order { IN_ORDER, REORDERED, DUPLICATE };

/* Order by sequence number, as a window of 64. */
static enum order note_order(struct stream *stream, uint32_t sequence) {
  uint32_t ahead = sequence - stream->highest;
  if (stream->first_ns == 0 || (ahead > 0 && ahead < 1u << 31)) {
    stream->seen = ahead < 64 ? stream->seen << ahead | 1 : 1;
    stream->highest = sequence;
    return IN_ORDER;
  }
  uint32_t behind = stream->highest - sequence;
  if (behind >= 64 || stream->seen >> behind & 1) return DUPLICATE;
  stream->seen |= 1ull << behind;
  return REORDERED;
}

void judge_mark(struct stream *stream, const struct window *window, const struct mark *mark, int64_t arrived_ns) {
  uint32_t before = stream->highest;
  enum order order = note_order(stream, mark->sequence);
  struct second *second = second_at(window, mark->time_ns);
  if (second != NULL) {
    struct figures *figures = &second->figures[mark->way];
    figures->duplicates += order == DUPLICATE;
    figures->reordered += order == REORDERED;
    if (order != DUPLICATE) {
      figures->arrived++;
      histogram_add(&figures->latency, arrived_ns - mark->time_ns);
    }
    int64_t pause = arrived_ns - stream->arrived_ns, sender_pause = mark->time_ns - stream->time_ns;
    bool follows = stream->first_ns != 0 && mark->sequence == before + 1;
    if (follows && pause > GAP_NS && pause > sender_pause + FRAME_NS) figures->gaps++;
  }
  if (order == DUPLICATE) return;
  if (stream->first_ns == 0) stream->first_ns = arrived_ns;
  stream->arrived_ns = arrived_ns;
  stream->time_ns = mark->time_ns;
}

void judge_packet(struct stream *stream, const struct window *window, const uint8_t *packet, int64_t arrived_ns) {
  uint16_t sequence = (uint16_t)(packet[2] << 8 | packet[3]);
  uint32_t timestamp = (uint32_t)packet[4] << 24 | (uint32_t)packet[5] << 16 | (uint32_t)packet[6] << 8 | packet[7];
  bool marker = packet[1] & 0x80;
  int32_t samples = (int32_t)(timestamp - stream->rtp_timestamp);
  int64_t due_ns = stream->rtp_arrived_ns + samples * SAMPLE_NS;
  if (stream->rtp_arrived_ns == 0) {
    stream->rtp_origin_ns = arrived_ns;
  } else {
    stream->rtp_origin_ns += samples * SAMPLE_NS;
    if (arrived_ns < stream->rtp_origin_ns) stream->rtp_origin_ns = arrived_ns;
    struct second *second = second_at(window, arrived_ns);
    if (second != NULL) {
      struct figures *figures = &second->figures[DOWN];
      uint16_t step = (uint16_t)(sequence - stream->rtp_sequence);
      if (step > 1 && step < 0x8000) figures->rtp_lost += step - 1u;
      if (step == 1 && (uint32_t)samples != FRAME_SAMPLES && !marker) figures->rtp_jumps++;
      if (step == 1) histogram_add(&figures->pacing, llabs(arrived_ns - due_ns));
      histogram_add(&figures->variation, arrived_ns - stream->rtp_origin_ns);
    }
  }
  stream->rtp_sequence = sequence;
  stream->rtp_timestamp = timestamp;
  stream->rtp_arrived_ns = arrived_ns;
}

void figures_print(FILE *out, const char *name, const struct figures *figures) {
  fprintf(out, "\"%s\":{\"latencyMs\":", name);
  histogram_print(out, &figures->latency);
  fputs(",\"pacingMs\":", out);
  histogram_print(out, &figures->pacing);
  fputs(",\"variationMs\":", out);
  histogram_print(out, &figures->variation);
  fprintf(out,
          ",\"sent\":%lu,\"arrived\":%lu,\"duplicates\":%lu,\"reordered\":%lu,\"corrupt\":%lu,\"gaps\":%lu,"
          "\"rtpLost\":%lu,\"rtpJumps\":%lu,\"silent\":%lu}",
          figures->sent, figures->arrived, figures->duplicates, figures->reordered, figures->corrupt, figures->gaps,
          figures->rtp_lost, figures->rtp_jumps, figures->silent);
}
