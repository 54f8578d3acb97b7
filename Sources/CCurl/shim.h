// SPDX-License-Identifier: Apache-2.0
// What Swift can't import: libcurl's variadic functions as typed wrappers, a union member, and the Linux headers that
// Glibc's Swift module leaves out (epoll, eventfd, timerfd, thread names). No decisions here.
#ifndef REPRISE_CCURL_SHIM_H
#define REPRISE_CCURL_SHIM_H

// No _GNU_SOURCE: Swift's own Glibc module is built without it, and types such as fd_set would differ.
#include <curl/curl.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>

static inline CURLcode ccurl_set_long(CURL *easy, CURLoption option, long value) {
    return (curl_easy_setopt)(easy, option, value);
}
static inline CURLcode ccurl_set_offset(CURL *easy, CURLoption option, curl_off_t value) {
    return (curl_easy_setopt)(easy, option, value);
}
static inline CURLcode ccurl_set_string(CURL *easy, CURLoption option, const char *value) {
    return (curl_easy_setopt)(easy, option, value);
}
static inline CURLcode ccurl_set_pointer(CURL *easy, CURLoption option, const void *value) {
    return (curl_easy_setopt)(easy, option, value);
}
static inline CURLcode ccurl_set_list(CURL *easy, CURLoption option, struct curl_slist *value) {
    return (curl_easy_setopt)(easy, option, value);
}
/// The bytes must outlive the easy handle: they are not copied.
static inline CURLcode ccurl_set_blob(CURL *easy, CURLoption option, void *bytes, size_t count) {
    struct curl_blob blob = {bytes, count, CURL_BLOB_NOCOPY};
    return (curl_easy_setopt)(easy, option, &blob);
}

typedef size_t (*ccurl_data_callback)(char *bytes, size_t size, size_t count, void *user);
typedef int (*ccurl_before_request_callback)(
    void *user, char *remote, char *local, int remote_port, int local_port);

static inline CURLcode ccurl_set_data_callback(
    CURL *easy, CURLoption function, CURLoption data, ccurl_data_callback callback, void *user) {
    CURLcode code = (curl_easy_setopt)(easy, function, callback);
    return code != CURLE_OK ? code : (curl_easy_setopt)(easy, data, user);
}
static inline CURLcode ccurl_set_before_request(CURL *easy, ccurl_before_request_callback callback, void *user) {
    CURLcode code = (curl_easy_setopt)(easy, CURLOPT_PREREQFUNCTION, callback);
    return code != CURLE_OK ? code : (curl_easy_setopt)(easy, CURLOPT_PREREQDATA, user);
}

/// Not inherited by child processes; a silent peer is given up after three unanswered keepalive probes.
static inline int ccurl_prepare_socket(void *user, curl_socket_t socket, curlsocktype purpose) {
    (void)user;
    (void)purpose;
    int probes = 3;
    (void)fcntl(socket, F_SETFD, FD_CLOEXEC);
    (void)setsockopt(socket, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
    return CURL_SOCKOPT_OK;
}
static inline CURLcode ccurl_set_socket_preparation(CURL *easy) {
    return (curl_easy_setopt)(easy, CURLOPT_SOCKOPTFUNCTION, ccurl_prepare_socket);
}

static inline CURLcode ccurl_get_long(CURL *easy, CURLINFO info, long *value) {
    return (curl_easy_getinfo)(easy, info, value);
}

typedef int (*ccurl_socket_callback)(CURL *easy, curl_socket_t socket, int what, void *user, void *socket_user);
typedef int (*ccurl_timer_callback)(CURLM *multi, long milliseconds, void *user);

static inline CURLMcode ccurl_multi_set_long(CURLM *multi, CURLMoption option, long value) {
    return (curl_multi_setopt)(multi, option, value);
}
static inline CURLMcode ccurl_multi_set_callbacks(
    CURLM *multi, ccurl_socket_callback socket, ccurl_timer_callback timer, void *user) {
    CURLMcode code = (curl_multi_setopt)(multi, CURLMOPT_SOCKETFUNCTION, socket);
    if (code == CURLM_OK) code = (curl_multi_setopt)(multi, CURLMOPT_SOCKETDATA, user);
    if (code == CURLM_OK) code = (curl_multi_setopt)(multi, CURLMOPT_TIMERFUNCTION, timer);
    if (code == CURLM_OK) code = (curl_multi_setopt)(multi, CURLMOPT_TIMERDATA, user);
    return code;
}

/// The next finished transfer, or NULL. `*code` says how it ended.
static inline CURL *ccurl_multi_next_finished(CURLM *multi, CURLcode *code) {
    int left = 0;
    CURLMsg *message;
    while ((message = curl_multi_info_read(multi, &left)) != NULL) {
        if (message->msg == CURLMSG_DONE) {
            *code = message->data.result;
            return message->easy_handle;
        }
    }
    return NULL;
}

static inline int ccurl_epoll_control(int epoll, int operation, int fd, uint32_t events, uint64_t tag) {
    struct epoll_event event;
    event.events = events;
    event.data.u64 = tag;
    return epoll_ctl(epoll, operation, fd, &event);
}
static inline uint64_t ccurl_event_tag(const struct epoll_event *event) { return event->data.u64; }
static inline uint32_t ccurl_event_mask(const struct epoll_event *event) { return event->events; }

/// Nanoseconds on a clock; 0 when the clock does not exist.
static inline int64_t ccurl_clock(clockid_t clock) {
    struct timespec now = {0, 0};
    (void)clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}
/// Arms a timerfd for an absolute moment in nanoseconds (at least 1); 0 disarms it.
static inline int ccurl_arm_timer(int fd, int64_t nanoseconds) {
    struct itimerspec when = {{0, 0}, {nanoseconds / 1000000000, nanoseconds % 1000000000}};
    return timerfd_settime(fd, TFD_TIMER_ABSTIME, &when, NULL);
}
/// A write to a connection that the peer has closed must be an error here, not the end of the process.
static inline void ccurl_prepare_thread(const char *name) {
    sigset_t signals;
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGPIPE);
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
    (void)prctl(PR_SET_NAME, name, 0, 0, 0);
}

#endif
