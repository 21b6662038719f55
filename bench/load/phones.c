/* The far end of the calls' RTP: sends a marked packet every 20 ms, and judges what comes back. */
#define _GNU_SOURCE
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { RTP_HEADER_BYTES = 12, PACKET_BYTES = RTP_HEADER_BYTES + FRAME_BYTES, DATAGRAM_MAX = 512, BATCH = 32 };

/*
 * The bridge may identify calls by the address and port that Asterisk sends from; ours are all
 * different. A socket for each call would cost one system call a packet: calls that share a socket
 * differ in the address.
 */
static struct sockaddr_in first_phone;
static int sockets[CALLS_MAX];

/*
 * Calls that share a socket also follow each other within the 20 ms, so that packets due together
 * leave in one system call.
 */
static int socket_of(int call) { return sockets[call / load.calls_per_socket]; }

void phones_open(void) {
  first_phone = loopback(load.phone_address, load.phone_port);
  for (int i = 0; i < load.calls; i++) {
    struct sockaddr_in phone = phone_at(first_phone, load.calls_per_socket, i);
    if (i % load.calls_per_socket == 0) {
      int index = i / load.calls_per_socket;
      sockets[index] = udp_open_any(phone.sin_port);
      epoll_watch(load.epoll, sockets[index], EPOLLIN, tag(PHONES, (uint32_t)index));
    }
    source_set(&load.call[i].source, phone.sin_addr);
    load.rtp_due[i] = NEVER;
    load.call[i].ssrc = (uint32_t)random();
    load.call[i].rtp_sequence = (uint16_t)random();
    load.call[i].rtp_timestamp = (uint32_t)random();
  }
}

void phone_peer(int call, int port) { load.call[call].peer = loopback("127.0.0.1", port); }

void phone_start(int call) {
  int64_t phase = FRAME_NS * (int64_t)call / load.calls;
  load.rtp_due[call] = (now_ns() / FRAME_NS + 1) * FRAME_NS + phase;
}

void phone_stop(int call) { load.rtp_due[call] = NEVER; }

static void packet_write(struct call *call, int index, int64_t now, uint8_t packet[PACKET_BYTES]) {
  uint16_t sequence = htons(call->rtp_sequence++);
  uint32_t timestamp = htonl(call->rtp_timestamp), ssrc = htonl(call->ssrc);
  packet[0] = 0x80;
  packet[1] = call->sequence == 0 ? 0x80 : 0; /* marker bit; payload type 0 is PCMU */
  memcpy(packet + 2, &sequence, 2);
  memcpy(packet + 4, &timestamp, 4);
  memcpy(packet + 8, &ssrc, 4);
  struct mark mark = {.way = UP, .call = (uint16_t)index, .sequence = call->sequence++, .time_ns = now};
  frame_write(packet + RTP_HEADER_BYTES, &mark);
  call->rtp_timestamp += FRAME_BYTES;
  struct second *second = second_at(&load.window, now);
  if (second != NULL) second->figures[UP].sent++;
}

static struct {
  int socket, count;
  struct mmsghdr messages[BATCH];
  struct iovec parts[BATCH];
  uint8_t packets[BATCH][PACKET_BYTES];
} batch;

static void batch_send(void) {
  /*
   * A refused packet (the bridge's port has just closed) delays the packets behind it by one turn:
   * it is skipped.
   */
  for (int sent = 0; sent < batch.count;) {
    int count = sendmmsg(batch.socket, batch.messages + sent, (unsigned)(batch.count - sent), 0);
    sent += count > 0 ? count : 1;
  }
  batch.count = 0;
}

void phones_send(int64_t now) {
  for (int i = 0; i < load.calls; i++) {
    if (load.rtp_due[i] > now) continue;
    struct call *call = &load.call[i];
    struct second *second = second_at(&load.window, load.rtp_due[i]);
    if (second != NULL) histogram_add(&second->lateness, now - load.rtp_due[i]);
    load.rtp_due[i] += FRAME_NS;
    if (batch.count > 0 && (batch.socket != socket_of(i) || batch.count == BATCH)) batch_send();
    uint8_t *packet = batch.packets[batch.count];
    packet_write(call, i, now, packet);
    batch.socket = socket_of(i);
    batch.parts[batch.count] = (struct iovec){.iov_base = packet, .iov_len = PACKET_BYTES};
    batch.messages[batch.count].msg_hdr = (struct msghdr){
        .msg_name = &call->peer,
        .msg_namelen = sizeof call->peer,
        .msg_iov = &batch.parts[batch.count],
        .msg_iovlen = 1,
        .msg_control = &call->source,
        .msg_controllen = sizeof call->source,
    };
    batch.count++;
  }
  if (batch.count > 0) batch_send();
}

/* The audio of a packet: usually one whole marked frame, but a frame may lie across two packets. */
static void phone_hear(struct call *call, const uint8_t *audio, size_t size, int64_t arrived) {
  struct second *second = second_at(&load.window, arrived);
  uint8_t joined[sizeof call->carry + FRAME_BYTES];
  struct mark mark;
  if (size > FRAME_BYTES) size = FRAME_BYTES;
  memcpy(joined, call->carry, call->carried);
  memcpy(joined + call->carried, audio, size);
  long at = mark_find(joined, call->carried + size, &mark);
  if (at < 0 || mark.way != DOWN || &load.call[mark.call] != call) {
    if (second != NULL) second->figures[DOWN].silent++;
  } else {
    judge_mark(&call->streams[DOWN], &load.window, &mark, arrived);
    bot_was_heard(call, mark.sequence, arrived);
    bool whole = (size_t)at == call->carried && size == FRAME_BYTES;
    if (whole && !frame_is_whole(audio) && second != NULL) second->figures[DOWN].corrupt++;
  }
  call->carried = size < sizeof call->carry ? size : sizeof call->carry;
  memcpy(call->carry, audio + size - call->carried, call->carried);
}

/*
 * Which call a datagram belongs to: its peer must have sent it. With one call a socket, the peer is
 * the first sender (SIP phones).
 */
static struct call *call_of(uint32_t socket, struct in_addr to, const struct sockaddr_in *from) {
  uint32_t calls = (uint32_t)load.calls_per_socket, at = ntohl(to.s_addr) - ntohl(first_phone.sin_addr.s_addr);
  uint32_t index = socket * calls + at;
  if (at >= calls || index >= (uint32_t)load.calls) return NULL;
  struct call *call = &load.call[index];
  if (calls == 1 && call->peer.sin_port == 0) {
    call->peer = *from;
    phone_start((int)index);
  }
  bool is_peer = from->sin_port == call->peer.sin_port && from->sin_addr.s_addr == call->peer.sin_addr.s_addr;
  return is_peer ? call : NULL;
}

void phones_receive(uint32_t socket) {
  static struct mmsghdr messages[BATCH];
  static struct iovec parts[BATCH];
  static struct sockaddr_in from[BATCH];
  static uint8_t datagrams[BATCH][DATAGRAM_MAX], controls[BATCH][CONTROL_BYTES];
  for (int i = 0; i < BATCH; i++) {
    parts[i] = (struct iovec){.iov_base = datagrams[i], .iov_len = DATAGRAM_MAX};
    messages[i].msg_hdr = (struct msghdr){
        .msg_name = &from[i],
        .msg_namelen = sizeof from[i],
        .msg_iov = &parts[i],
        .msg_iovlen = 1,
        .msg_control = controls[i],
        .msg_controllen = CONTROL_BYTES,
    };
  }
  int count = recvmmsg(sockets[socket], messages, BATCH, MSG_DONTWAIT, NULL);
  int64_t now = now_ns();
  for (int i = 0; i < count; i++) {
    if (messages[i].msg_len <= RTP_HEADER_BYTES || (datagrams[i][1] & 0x7f) != 0) continue;
    struct call *call = call_of(socket, destination(&messages[i].msg_hdr), &from[i]);
    if (call == NULL) continue;
    int64_t arrived = arrival_ns(&messages[i].msg_hdr, now);
    judge_packet(&call->streams[DOWN], &load.window, datagrams[i], arrived);
    phone_hear(call, datagrams[i] + RTP_HEADER_BYTES, messages[i].msg_len - RTP_HEADER_BYTES, arrived);
  }
}
