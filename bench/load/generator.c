/*
 * generator [--calls N] [--mode MODE] [--phone-address A] [--phone-port P] [--calls-per-socket N]
 *   [--bot-port P]
 * Calls that share a phone port have an address each: the first is at A, the others at the
 * following addresses. Commands on standard input, a line each:
 *   peer CALL PORT           where the bridge takes the call's RTP
 *   start CALL, stop CALL    its RTP begins, ends
 *   measure SETTLE SECONDS   the window of SECONDS begins in SETTLE seconds, which is longer than
 *                            a spurt of the bots
 *   hush                     RTP and bots stop sending
 *   status                   answers with {"up":N,"down":N}: the calls that were heard each way
 *   report                   answers with the figures, and ends
 * Says `ready` when its ports are open.
 */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

/*
 * The period of all work. Nothing is done in between: at hundreds of calls, one wake-up for each
 * datagram would cost more than the datagrams. The kernel takes the arrival times, so only the
 * bots' answers are late because of this, on average by half a period.
 */
static const int64_t QUANTUM_NS = 250000;
/* Taken at once; few, so that sends are not kept waiting. */
enum { EVENTS = 64, SECONDS_MAX = 600 };

struct load load = {
    .calls = 1,
    .calls_per_socket = 16,
    .phone_address = "127.0.1.1",
    .phone_port = 21100,
    .bot_port = 21080,
};

static const struct speech SPEECHES[] = {
    {.name = "echo"},
    {.name = "burst", .message_bytes = 16000, .spurt_bytes = 16000, .spurt_every_ns = 2500000000},
    {.name = "fast", .message_bytes = 320, .every_ns = 11428571, .spurt_bytes = 16000, .spurt_every_ns = 2500000000},
    {.name = "steps", .message_bytes = 1100, .every_ns = 137500000},
    {.name = "clear", .message_bytes = 16000, .spurt_bytes = 16000, .spurt_every_ns = 1500000000, .clear_after_ns = 500000000},
};

static void read_options(int count, char **words) {
  static const struct option OPTIONS[] = {
      {"calls", required_argument, NULL, 'c'},      {"mode", required_argument, NULL, 'm'},
      {"phone-port", required_argument, NULL, 'p'}, {"phone-address", required_argument, NULL, 'a'},
      {"bot-port", required_argument, NULL, 'b'},   {"calls-per-socket", required_argument, NULL, 's'},
      {0},
  };
  const char *mode = "echo";
  for (int option; (option = getopt_long(count, words, "", OPTIONS, NULL)) != -1;) {
    switch (option) {
      case 'c': load.calls = atoi(optarg); break;
      case 'm': mode = optarg; break;
      case 'p': load.phone_port = atoi(optarg); break;
      case 'a': load.phone_address = optarg; break;
      case 'b': load.bot_port = atoi(optarg); break;
      case 's': load.calls_per_socket = atoi(optarg); break;
      default: die("unknown option");
    }
  }
  for (size_t i = 0; i < sizeof SPEECHES / sizeof *SPEECHES; i++)
    if (strcmp(SPEECHES[i].name, mode) == 0) load.speech = &SPEECHES[i];
  if (load.speech == NULL) die("--mode is echo, burst, fast, steps or clear");
  if (load.calls < 1 || load.calls > CALLS_MAX || load.calls_per_socket < 1) die("--calls is 1 to 2000");
}

static void print_status(void) {
  int heard[WAYS] = {0};
  for (int i = 0; i < load.calls; i++)
    for (int way = 0; way < WAYS; way++) heard[way] += load.call[i].streams[way].first_ns > 0;
  printf("{\"up\":%d,\"down\":%d}\n", heard[UP], heard[DOWN]);
}

/* When each call was first heard, in ms of the realtime clock; 0: never. */
static void print_firsts(const char *name, enum way way) {
  printf(",\"%s\":[", name);
  for (int i = 0; i < load.calls; i++)
    printf("%s%.3f", i > 0 ? "," : "", (double)load.call[i].streams[way].first_ns / 1e6);
  putchar(']');
}

/* The sound seconds added up, and the lateness in all of them. */
static void print_report(void) {
  static struct second sum, all;
  size_t sound = 0;
  for (size_t i = 0; i < load.window.seconds; i++) {
    const struct second *second = &load.window.second[i];
    second_add(&all, second);
    if (!second_is_sound(second)) continue;
    second_add(&sum, second);
    sound++;
  }
  printf("{\"seconds\":%zu,\"soundSeconds\":%zu,", load.window.seconds, sound);
  figures_print(stdout, "up", &sum.figures[UP]);
  putchar(',');
  figures_print(stdout, "down", &sum.figures[DOWN]);
  print_firsts("firstUpMs", UP);
  print_firsts("firstDownMs", DOWN);
  fputs(",\"clearMs\":", stdout);
  histogram_print(stdout, &sum.clear);
  fputs(",\"latenessMs\":", stdout);
  histogram_print(stdout, &all.lateness);
  puts("}");
}

static void fall_silent(void) {
  for (int i = 0; i < load.calls; i++) phone_stop(i);
  bots_hush();
}

/* Carries out one command; false where it was the last. */
static bool obey(const char *line) {
  int call, port;
  double settle;
  size_t seconds;
  if (sscanf(line, "peer %d %d", &call, &port) == 2 && call >= 0 && call < load.calls) {
    phone_peer(call, port);
  } else if (sscanf(line, "start %d", &call) == 1 && call >= 0 && call < load.calls) {
    phone_start(call);
  } else if (sscanf(line, "stop %d", &call) == 1 && call >= 0 && call < load.calls) {
    phone_stop(call);
  } else if (sscanf(line, "measure %lf %zu", &settle, &seconds) == 2 && seconds <= SECONDS_MAX) {
    load.window = (struct window){
        .from_ns = now_ns() + (int64_t)(settle * SECOND_NS),
        .seconds = seconds,
        .second = calloc(seconds, sizeof *load.window.second),
    };
    if (load.window.second == NULL) die("memory");
  } else if (strcmp(line, "hush") == 0) {
    fall_silent();
  } else if (strcmp(line, "status") == 0) {
    print_status();
  } else if (strcmp(line, "report") == 0) {
    print_report();
    return false;
  } else {
    die(line);
  }
  return true;
}

/* Reads commands; false when there are no more. */
static bool commands_read(void) {
  static char buffer[65536];
  static size_t used;
  ssize_t size = read(STDIN_FILENO, buffer + used, sizeof buffer - used);
  if (size <= 0) return size < 0 && errno == EAGAIN;
  used += (size_t)size;
  char *line = buffer, *end;
  while ((end = memchr(line, '\n', used - (size_t)(line - buffer))) != NULL) {
    *end = 0;
    if (!obey(line)) return false;
    line = end + 1;
  }
  used -= (size_t)(line - buffer);
  memmove(buffer, line, used);
  return true;
}

static bool dispatch(const struct epoll_event *event) {
  uint32_t index = (uint32_t)event->data.u64;
  switch ((enum kind)(event->data.u64 >> 32)) {
    case COMMANDS: return commands_read();
    case LISTENER: bots_accept(); break;
    case PHONES: phones_receive(index); break;
    case BOT: bot_event(index, event->events); break;
  }
  return true;
}

/* Sends what is due, then reads all that has arrived. False at the end. */
static bool turn(void) {
  static struct epoll_event events[EVENTS];
  int ready;
  do {
    int64_t now = now_ns();
    phones_send(now);
    bots_speak(now);
    ready = epoll_wait(load.epoll, events, EVENTS, 0);
    for (int i = 0; i < ready; i++)
      if (!dispatch(&events[i])) return false;
  } while (ready == EVENTS);
  return true;
}

int main(int count, char **words) {
  read_options(count, words);
  setvbuf(stdout, NULL, _IOLBF, 0);
  raise_file_limit();
  prctl(PR_SET_TIMERSLACK, 1);
  prctl(PR_SET_PDEATHSIG, 15);
  load.call = calloc((size_t)load.calls, sizeof *load.call);
  load.epoll = epoll_create1(EPOLL_CLOEXEC);
  if (load.call == NULL || load.epoll < 0) die("memory");
  phones_open();
  bots_open();
  epoll_watch(load.epoll, STDIN_FILENO, EPOLLIN, tag(COMMANDS, 0));
  be_punctual();
  puts("ready");
  while (turn()) {
    struct timespec wait = {.tv_nsec = QUANTUM_NS - now_ns() % QUANTUM_NS};
    nanosleep(&wait, NULL);
  }
}
