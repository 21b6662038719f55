/* Sockets on loopback, and the clock. What cannot be had ends the program with a message. */
#pragma once
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdnoreturn.h>
#include <sys/socket.h>
#include <time.h>

/* The realtime clock in ns: the one that the kernel stamps datagrams with. */
int64_t now_ns(void);

/* Says what went wrong, and errno's text where it is set; exit code 1. */
noreturn void die(const char *what);

/* As many open files as the system allows. */
void raise_file_limit(void);

/*
 * Gives this thread priority over all others on its core, as far as the system permits: real time,
 * else the highest nice priority.
 */
void be_punctual(void);

struct sockaddr_in loopback(const char *address, int port);
/* Where a call's phone is: several calls share a port, at addresses that follow each other. */
struct sockaddr_in phone_at(struct sockaddr_in first, int calls_per_socket, int call);
/* A bound UDP socket that does not block. */
int udp_open(const char *address, int port);
/*
 * A socket that accepts datagrams to any address. Each datagram comes with that address and the
 * kernel's arrival time.
 */
int udp_open_any(in_port_t port);
int tcp_listen(const char *address, int port);
/* Prepares a connected TCP socket: no delay, no blocking, arrival times where `stamps`. */
void tcp_prepare(int socket, bool stamps);
void epoll_watch(int epoll, int socket, uint32_t events, uint64_t tag);
void epoll_change(int epoll, int socket, uint32_t events, uint64_t tag);

/* The kernel's arrival time in a received message; `fallback` where it has none. */
int64_t arrival_ns(struct msghdr *message, int64_t fallback);
/* The address that a received message was sent to; 0.0.0.0 where it does not say. */
struct in_addr destination(struct msghdr *message);
/* Room for both. */
enum { CONTROL_BYTES = CMSG_SPACE(sizeof(struct timespec)) + CMSG_SPACE(sizeof(struct in_pktinfo)) };

/* The control message that has a message sent from one of our addresses. */
union source {
  struct cmsghdr head;
  uint8_t bytes[CMSG_SPACE(sizeof(struct in_pktinfo))];
};
void source_set(union source *source, struct in_addr address);
