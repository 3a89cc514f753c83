/*
 * The baseline of the ingest benchmarks: a libmicrohttpd server that reads
 * the same request, answers the same bytes and stores nothing. One epoll
 * thread, as the engine has.
 *
 *   bare_http PORT
 */
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char answer[] =
    "{\"id\":\"evt-01jdabcdefghjkmnpqrstvwxyz\",\"status\":\"queued\"}";

/* NOLINTNEXTLINE(readability-function-size): the signature is MHD's */
static enum MHD_Result handle(void *context, struct MHD_Connection *connection,
                              const char *url, const char *method,
                              const char *version, const char *data,
                              size_t *size, void **state)
{
    struct MHD_Response *response = context;
    static int seen;
    (void)url;
    (void)method;
    (void)version;
    (void)data;
    if (*state == NULL) {
        *state = &seen;
        return MHD_YES;
    }
    if (*size != 0) {
        *size = 0;
        return MHD_YES;
    }
    return MHD_queue_response(connection, MHD_HTTP_ACCEPTED, response);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        (void)fprintf(stderr, "Usage: bare_http PORT\n");
        return 2;
    }
    static char body[sizeof(answer)];
    memcpy(body, answer, sizeof(answer));
    struct MHD_Response *response = MHD_create_response_from_buffer(
        sizeof(answer) - 1, body, MHD_RESPMEM_PERSISTENT);
    (void)MHD_add_response_header(response, "Content-Type", "application/json");
    (void)MHD_add_response_header(response, "Cache-Control", "no-store");
    unsigned long port = strtoul(argv[1], NULL, 10);
    struct MHD_Daemon *daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD, (uint16_t)port, NULL, NULL, handle,
        response, MHD_OPTION_CONNECTION_LIMIT, 512U, MHD_OPTION_END);
    if (daemon == NULL) {
        (void)fprintf(stderr, "bare_http: cannot listen on port %lu\n", port);
        return 1;
    }
    (void)pause();
    MHD_stop_daemon(daemon);
    return 0;
}
