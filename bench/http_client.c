/* A load generator for HTTP, in C so that it takes little of what it measures: keep-alive
 * connections over epoll, one request outstanding on each.
 *
 *   http_client PORT CONNECTIONS IDS FILE
 *
 * FILE holds requests, each behind its length (u32, this machine's order). For every line "N" on
 * standard input it posts the next N of them, over and over, to 127.0.0.1:PORT and prints how many
 * answers were a 201 with IDS times `"id"` in its body. The first that is not is printed instead.
 * http_load.py compiles it and drives it. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ANSWER_MAX = 1 << 20, EVENTS = 256 };

typedef struct {
  const char *data;
  uint32_t size;
} Request;

typedef struct {
  int fd;
  int busy;
  const char *out;
  size_t out_left;
  char *in;
  size_t in_size;
} Connection;

typedef struct {
  Request *requests;
  size_t count;
  size_t next;
  size_t to_send;
  size_t to_answer;
  size_t ids;
} Plan;

static void fail(const char *what, const char *seen, size_t size) {
  printf("%s: %.*s\n", what, (int)(size < 400 ? size : 400), seen);
  exit(1);
}

static void fail_errno(const char *what) { fail(what, strerror(errno), strlen(strerror(errno))); }

static void read_requests(const char *path, Plan *plan) {
  int fd = open(path, O_RDONLY);
  struct stat about;
  if (fd < 0 || fstat(fd, &about)) fail_errno(path);
  size_t size = (size_t)about.st_size, at = 0, room = 0;
  char *bytes = malloc(size);
  while (at < size) {
    ssize_t n = read(fd, bytes + at, size - at);
    if (n <= 0) fail_errno(path);
    at += (size_t)n;
  }
  for (at = 0; at + 4 <= size;) {
    if (plan->count == room) {
      room = room ? 2 * room : 1024;
      plan->requests = realloc(plan->requests, room * sizeof(Request));
    }
    Request *request = &plan->requests[plan->count++];
    memcpy(&request->size, bytes + at, 4);
    request->data = bytes + at + 4;
    at += 4 + request->size;
  }
  close(fd);
}

static void send_rest(Connection *c) {
  while (c->out_left) {
    ssize_t n = send(c->fd, c->out, c->out_left, MSG_NOSIGNAL);
    if (n < 0) {
      if (errno == EAGAIN) return;
      fail_errno("send");
    }
    c->out += n;
    c->out_left -= (size_t)n;
  }
}

static void send_next(Connection *c, Plan *plan) {
  c->busy = plan->to_send > 0;
  if (!c->busy) return;
  const Request *request = &plan->requests[plan->next];
  plan->next = (plan->next + 1) % plan->count;
  plan->to_send--;
  c->out = request->data;
  c->out_left = request->size;
  send_rest(c);
}

/* Return the size of the whole answer, 0 while that is not known. */
static size_t answer_size(const Connection *c) {
  const char *end = memmem(c->in, c->in_size, "\r\n\r\n", 4);
  if (!end) return 0;
  for (const char *line = c->in; line && line < end; line = memmem(line, end - line, "\r\n", 2)) {
    if (line > c->in) line += 2;
    if (!strncasecmp(line, "content-length:", 15))
      return (size_t)(end - c->in) + 4 + strtoul(line + 15, NULL, 10);
    if (line == c->in) line++;
  }
  fail("an answer without Content-Length", c->in, c->in_size);
  return 0;
}

static void check(const Connection *c, size_t ids) {
  size_t found = 0;
  const char *at = c->in, *end = c->in + c->in_size;
  while ((at = memmem(at, (size_t)(end - at), "\"id\"", 4))) {
    found++;
    at += 4;
  }
  if (found != ids || strncmp(c->in, "HTTP/1.1 201 ", 13)) fail("refused", c->in, c->in_size);
}

static void receive(Connection *c, Plan *plan) {
  ssize_t n = recv(c->fd, c->in + c->in_size, ANSWER_MAX - c->in_size, 0);
  if (n <= 0) {
    if (n < 0 && errno == EAGAIN) return;
    fail("the server closed the connection", "", 0);
  }
  c->in_size += (size_t)n;
  if (!c->busy) fail("an answer nobody asked for", c->in, c->in_size);
  size_t size = answer_size(c);
  if (!size || c->in_size < size) return;
  if (c->in_size > size) fail("more than an answer", c->in, c->in_size);
  check(c, plan->ids);
  c->in_size = 0;
  plan->to_answer--;
  send_next(c, plan);
}

static void connect_all(Connection *connections, size_t count, int port, int epoll) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  for (size_t i = 0; i < count; i++) {
    Connection *c = &connections[i];
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to)) fail_errno("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    c->in = malloc(ANSWER_MAX);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event)) fail_errno("epoll_ctl");
  }
}

static void run(Connection *connections, size_t count, int epoll, Plan *plan) {
  struct epoll_event events[EVENTS];
  for (size_t i = 0; i < count; i++) send_next(&connections[i], plan);
  while (plan->to_answer) {
    int n = epoll_wait(epoll, events, EVENTS, -1);
    for (int i = 0; i < n; i++) {
      Connection *c = events[i].data.ptr;
      if (events[i].events & EPOLLOUT) send_rest(c);
      if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive(c, plan);
    }
  }
}

int main(int argc, char **argv) {
  if (argc != 5) fail("usage", "http_client PORT CONNECTIONS IDS FILE", 40);
  size_t count = strtoul(argv[2], NULL, 10), amount;
  Plan plan = {.ids = strtoul(argv[3], NULL, 10)};
  read_requests(argv[4], &plan);
  Connection *connections = calloc(count, sizeof(Connection));
  int epoll = epoll_create1(0);
  connect_all(connections, count, atoi(argv[1]), epoll);
  while (scanf("%zu", &amount) == 1) {
    plan.to_send = plan.to_answer = amount;
    run(connections, count, epoll, &plan);
    printf("%zu\n", amount);
    fflush(stdout);
  }
  return 0;
}
