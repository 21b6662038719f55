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

struct sockaddr_in phone_at(struct sockaddr_in first, int calls_per_socket, int call) {
  first.sin_port = htons((uint16_t)(ntohs(first.sin_port) + 2 * (call / calls_per_socket)));
  first.sin_addr.s_addr = htonl(ntohl(first.sin_addr.s_addr) + (uint32_t)(call % calls_per_socket));
  return first;
}

static void set(int socket, int level, int option, int value) {
  if (setsockopt(socket, level, option, &value, sizeof value) != 0) die("setsockopt");
}

static int udp_bind(struct sockaddr_in local) {
  int result = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (result < 0 || bind(result, (struct sockaddr *)&local, sizeof local) != 0) die("UDP port");
  set(result, SOL_SOCKET, SO_RCVBUF, 1 << 20);
  return result;
}

int udp_open(const char *address, int port) { return udp_bind(loopback(address, port)); }

int udp_open_any(in_port_t port) {
  int result = udp_bind((struct sockaddr_in){.sin_family = AF_INET, .sin_port = port});
  set(result, SOL_SOCKET, SO_TIMESTAMPNS, 1);
  set(result, IPPROTO_IP, IP_PKTINFO, 1);
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

/* Copies what a received message says of itself; false where it does not say that. */
static bool control_read(struct msghdr *message, int level, int type, void *data, size_t size) {
  for (struct cmsghdr *at = CMSG_FIRSTHDR(message); at != NULL; at = CMSG_NXTHDR(message, at)) {
    if (at->cmsg_level != level || at->cmsg_type != type) continue;
    memcpy(data, CMSG_DATA(at), size);
    return true;
  }
  return false;
}

int64_t arrival_ns(struct msghdr *message, int64_t fallback) {
  struct timespec time;
  if (!control_read(message, SOL_SOCKET, SCM_TIMESTAMPNS, &time, sizeof time)) return fallback;
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

struct in_addr destination(struct msghdr *message) {
  struct in_pktinfo info = {0};
  control_read(message, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
  return info.ipi_addr;
}

void source_set(union source *source, struct in_addr address) {
  const struct in_pktinfo info = {.ipi_spec_dst = address};
  source->head.cmsg_level = IPPROTO_IP;
  source->head.cmsg_type = IP_PKTINFO;
  source->head.cmsg_len = CMSG_LEN(sizeof info);
  memcpy(CMSG_DATA(&source->head), &info, sizeof info);
}
