#define _GNU_SOURCE
#include "net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

int64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_REALTIME, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

noreturn void die(const char *what) {
  fprintf(stderr, "load: %s%s%s\n", what, errno ? ": " : "", errno ? strerror(errno) : "");
  exit(1);
}

void raise_file_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) die("limit of open files");
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

void be_punctual(void) {
  struct sched_param first = {.sched_priority = 1};
  if (sched_setscheduler(0, SCHED_FIFO, &first) != 0) setpriority(PRIO_PROCESS, 0, -20);
}

struct sockaddr_in loopback(const char *address, int port) {
  struct sockaddr_in result = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  if (inet_pton(AF_INET, address, &result.sin_addr) != 1 || ntohl(result.sin_addr.s_addr) >> 24 != 127)
    die("an address outside 127.0.0.0/8");
  return result;
}

static void set(int socket, int level, int option, int value) {
  if (setsockopt(socket, level, option, &value, sizeof value) != 0) die("setsockopt");
}

int udp_open(const char *address, int port, bool stamps) {
  int result = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  struct sockaddr_in local = loopback(address, port);
  if (result < 0 || bind(result, (struct sockaddr *)&local, sizeof local) != 0) die("UDP port");
  set(result, SOL_SOCKET, SO_RCVBUF, 1 << 20);
  if (stamps) set(result, SOL_SOCKET, SO_TIMESTAMPNS, 1);
  return result;
}

int tcp_listen(const char *address, int port) {
  int result = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  struct sockaddr_in local = loopback(address, port);
  if (result < 0) die("socket");
  set(result, SOL_SOCKET, SO_REUSEADDR, 1);
  if (bind(result, (struct sockaddr *)&local, sizeof local) != 0 || listen(result, 1024) != 0) die("TCP port");
  return result;
}

void tcp_prepare(int socket, bool stamps) {
  set(socket, IPPROTO_TCP, TCP_NODELAY, 1);
  if (stamps) set(socket, SOL_SOCKET, SO_TIMESTAMPNS, 1);
}

static void epoll_do(int epoll, int operation, int socket, uint32_t events, uint64_t tag) {
  struct epoll_event event = {.events = events, .data.u64 = tag};
  if (epoll_ctl(epoll, operation, socket, &event) != 0) die("epoll");
}

void epoll_watch(int epoll, int socket, uint32_t events, uint64_t tag) {
  epoll_do(epoll, EPOLL_CTL_ADD, socket, events, tag);
}

void epoll_change(int epoll, int socket, uint32_t events, uint64_t tag) {
  epoll_do(epoll, EPOLL_CTL_MOD, socket, events, tag);
}

int64_t arrival_ns(struct msghdr *message, int64_t fallback) {
  for (struct cmsghdr *at = CMSG_FIRSTHDR(message); at != NULL; at = CMSG_NXTHDR(message, at)) {
    if (at->cmsg_level != SOL_SOCKET || at->cmsg_type != SCM_TIMESTAMPNS) continue;
    struct timespec time;
    memcpy(&time, CMSG_DATA(at), sizeof time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
  }
  return fallback;
}
